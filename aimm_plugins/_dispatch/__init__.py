"""From a key to a call.

A snapshot of providers and the hookimpls of pluggy come in; a call that holds all it needs goes
out. No lock is taken and nothing imported on the way, so a process that forks in the middle can
call.
"""
