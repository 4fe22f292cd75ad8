"""Plugins in processes of other Python environments.

The rules of an environment come in; a running `Environment` goes out, whose calls are those of any
other plugin. No plugin of an environment is imported into this process, and no interpreter is run
to find out what is installed there.
"""
