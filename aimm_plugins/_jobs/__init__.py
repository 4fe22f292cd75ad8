"""From a job file to the files that it names: read, check, run one step after another.

A step calls plugins only through the public functions; no output file is ever half written.
"""
