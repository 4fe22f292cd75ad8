"""Text for terminals, files, the log."""
