"""From decorators to a ledger: what plugin authors write, kept by the module that wrote it.

A function or class comes in and goes out unchanged; its declarations go to the ledger. Nothing here
knows which plugin a module belongs to, and nothing is called.
"""
