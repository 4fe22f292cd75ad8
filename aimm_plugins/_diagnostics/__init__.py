"""Answers for operators: what, why, how much."""
