"""Stable Audio Open (Evans et al. 2024, arXiv 2407.14358)."""
