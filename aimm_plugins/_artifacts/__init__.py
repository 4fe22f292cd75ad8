"""Saved models: a model comes in, bytes that name the plugin go out, and back.

Nothing in an artifact is believed: what may be loaded is for the conf to say, and the plugin is
given nothing before that is known.

Modules that a call alone needs are imported in functions: a plugin that does
`from aimm_plugins import *` loads this stage.
"""
