"""One sample to bytes and back."""
