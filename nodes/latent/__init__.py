"""Latents: LATENT nodes and the maths they call."""
