"""Open-Sora 1.2 (hpcaitech/Open-Sora, Apache-2.0), written anew: transformer, VAE, text, published model."""
