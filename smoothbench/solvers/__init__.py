"""Samplers as explicit steps, without a loop of their own: `smoothbench.protocols.Solver` says what each must have."""
