"""What connects a host with its surroundings; a module that needs an extra has its name."""
