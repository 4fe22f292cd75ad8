"""What every stage needs of the system: safe text, files, the log, module objects.

Nothing here knows of plugins, and nothing of this package is imported.
"""
