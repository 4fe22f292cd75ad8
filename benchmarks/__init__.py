"""Figures of this package beside its peers: ratios, measured in turn in one run."""
