"""From a plan to imported modules."""
