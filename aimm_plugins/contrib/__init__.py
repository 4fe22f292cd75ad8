"""Ready-made plugins for what stands around a host; one that needs an extra has its name."""
