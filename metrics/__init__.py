"""Metrics: tensors and paths in, numbers with each sample's influence out; nothing else of SmoothBench."""
