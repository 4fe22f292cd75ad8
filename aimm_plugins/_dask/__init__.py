"""Calls on a Dask cluster, whose workers have the host's plugins or run none; see `dask`."""
