"""U-ViT (Bao et al. 2023, arXiv 2209.12152)."""
