"""From a key to a call.

A snapshot of providers and the hookimpls of pluggy come in; a call that holds all it needs goes
out. A call takes no lock, and what it imports late is imported before each fork, so that a process
that forks in the middle can call.
"""
