"""From rules and candidates to a plan; nothing is imported."""
