"""From installed metadata to candidates; nothing is imported."""
