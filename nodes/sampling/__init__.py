"""Sampling: noise levels, schedules, samplers, guidance and the nodes that turn noise into latents."""
