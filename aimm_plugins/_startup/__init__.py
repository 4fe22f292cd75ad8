"""The stages in order, as one transaction."""
