"""Training data for caching methods that learn."""
