"""Real VBench (Huang et al. 2024, arXiv 2311.17982): samples to it, its results back; it runs elsewhere."""
