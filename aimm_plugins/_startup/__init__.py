"""The stages in order, as one transaction, and the runtime that holds all state of the process.

A conf comes in; a report goes out, and either everything of it is registered or nothing.
"""
