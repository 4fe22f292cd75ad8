"""From a conf's `options` and the schemas that plugins publish to what each plugin is given.

No plugin is imported here but by a schema that is code, and no secret is shown.
"""
