"""Schedules as other programs take them: cache-dit, diffusers, ComfyUI."""
