"""Whether two processes have the same plugins."""
