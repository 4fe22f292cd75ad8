"""Saved models: a model comes in, bytes go out, and back; nothing in them is believed.

Modules that a call alone needs are imported in functions: a plugin that does
`from aimm_plugins import *` loads this stage.
"""
