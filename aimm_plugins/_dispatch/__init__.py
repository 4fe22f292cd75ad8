"""From a key to a call."""
