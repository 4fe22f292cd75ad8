"""What every stage needs of the system: text, files, the log, child processes; no plugins."""
