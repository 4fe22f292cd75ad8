"""What every stage needs of the system: safe text, files, the log, modules, child processes.

Nothing here knows of plugins, and nothing of this package is imported.
"""
