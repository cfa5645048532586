"""The diffusion U-Net and what may change it from outside."""
