"""What serves authors and callers at their desks: entry points from code, stubs, new plugins."""
