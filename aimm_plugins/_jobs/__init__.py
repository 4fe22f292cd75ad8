"""Job files, run."""
