"""Studies of calibration: what they add to a report."""
