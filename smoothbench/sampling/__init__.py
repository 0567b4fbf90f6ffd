"""The model runs: the loop, batches, calibration."""
