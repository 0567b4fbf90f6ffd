"""Any pipeline of diffusers as a model: the user's own weights, in the pipeline's own sampling loop."""
