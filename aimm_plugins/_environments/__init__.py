"""From the rules of an environment to a plan and processes; nothing of it is imported here."""
