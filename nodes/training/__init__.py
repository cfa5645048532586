"""The training room: diffusion models, text encoders, autoencoders, LoRA and textual inversion."""
