"""Plugins in processes of other Python environments.

The rules of an environment come in; a plan of what is installed there, and processes that take
frames, go out. No plugin of an environment is imported into this process, and no interpreter is run
to find out what is installed there.
"""
