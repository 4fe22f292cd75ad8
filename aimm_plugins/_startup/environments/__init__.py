"""The part of a start that is about environments.

A `plan` of them comes in; a running `Environment` each goes out, whose processes run `child` and
are asked by `judge` before they start. No plugin of an environment is imported into this process.
"""
