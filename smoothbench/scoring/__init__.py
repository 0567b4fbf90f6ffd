"""From samples to features to scores."""
