"""Have two processes the same plugins?

What is registered comes in, a fingerprint or the differences of two go out. No plugin is imported
and nothing that is registered changes.
"""
