"""The published networks behind metrics."""
