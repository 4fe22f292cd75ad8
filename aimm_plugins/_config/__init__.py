"""From a conf, a policy or the environment to one checked value."""
