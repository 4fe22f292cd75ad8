"""From what is registered to a fingerprint and the differences of two; nothing is imported."""
