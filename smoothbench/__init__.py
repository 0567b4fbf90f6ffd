"""SmoothBench: a fair benchmark of caching in diffusion transformers."""
