"""Trains diffusion models, text encoders, autoencoders, LoRA and textual inversion."""
