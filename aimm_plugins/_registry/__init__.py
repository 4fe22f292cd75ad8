"""From imported modules to who provides what.

Declarations and plugin records come in; a snapshot of providers, conflicts and accounts goes out.
Nothing is imported and no plugin code runs here.
"""
