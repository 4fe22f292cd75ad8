"""From a mapping, a YAML file or the environment to one checked `Config`.

Nothing here looks at what is installed.
"""
