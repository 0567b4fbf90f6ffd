"""Samplers as explicit steps, without a loop of their own: `smoothbench.types.Solver` says what each must have."""
