"""What the engine costs: time over the bare model, realised speed-ups, floors, kernels and memory, beside its peers."""
