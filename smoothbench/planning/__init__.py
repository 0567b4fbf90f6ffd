"""A spec becomes a point, without running the model."""
