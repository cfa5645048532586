"""The LATENT nodes, and the functions on latents that they call."""
