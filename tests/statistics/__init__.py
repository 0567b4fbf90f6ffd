"""Standard errors and intervals, by simulation."""
