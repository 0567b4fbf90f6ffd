"""The embedded models: weights, model cards, and the programs that trained them."""
