"""A program that stresses the registry with threads, forks and interrupts."""
