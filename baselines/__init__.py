"""The methods that SmoothCache is compared with, one file each."""
