"""From a mapping, a YAML file or the environment to a checked `Config`, whatever is installed."""
