"""Calls on a Dask cluster: the host sends them, workers with the same plugins run them.

A worker whose plugins differ from the host's runs no code of a plugin. Everything here needs
distributed; `aimm_plugins.dask` is its public face.
"""
