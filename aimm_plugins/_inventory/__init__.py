"""What is known of distributions, plugins and keys: each fact once, with its place and remedy.

In come records, metadata and source; out go the same facts for a plan, which foresees, and for a
start, which has seen. No plugin is imported.
"""
