"""Ready-made plugins for what stands around a host; each needs the extra of its name."""
