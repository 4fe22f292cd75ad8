"""What the conf gives to plugins, by schema."""
