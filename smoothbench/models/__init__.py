"""Published diffusion transformers and their nano twins."""
