"""From source files to declarations, and to gaps where only a run could tell; nothing is imported.

The source may be that of a denied plugin: all work on it is bounded.
"""
