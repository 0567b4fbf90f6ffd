"""Metrics take tensors and paths, and give numbers with the influence of each sample; they need nothing of ours."""
