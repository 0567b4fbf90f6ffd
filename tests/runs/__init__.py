"""Experiments and commands from end to end."""
