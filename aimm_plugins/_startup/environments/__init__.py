"""The part of a start that is about environments.

A `plan` of them comes in; a running `Environment` each goes out, which judges its plugins before a
process starts, and whose processes run `child`. No plugin of it is imported into this process.
"""
