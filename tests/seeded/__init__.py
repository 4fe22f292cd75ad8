"""A plugin that is in order, and variants of it that each have one bug, which one check catches."""
