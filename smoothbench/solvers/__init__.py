"""Samplers in explicit steps, without a loop of their own; `smoothbench.protocols.Solver` is their interface."""
