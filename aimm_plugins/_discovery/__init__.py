"""From installed metadata to candidates, their owners and files; no plugin is imported or asked."""
