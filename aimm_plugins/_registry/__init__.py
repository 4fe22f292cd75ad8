"""From imported modules to who provides what."""
