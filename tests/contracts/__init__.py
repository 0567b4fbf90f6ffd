"""What must hold for everything there is: every YAML, every plug-in, README, notebooks, identities."""
