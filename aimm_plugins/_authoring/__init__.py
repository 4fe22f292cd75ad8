"""From a project's source to its entry points, from plugins to stubs, from a name to a project.

Source is read and not run, but for `running.py` and `stubs.py`, which are asked to run it.
"""
