"""The records of an experiment as one table of numbers."""
