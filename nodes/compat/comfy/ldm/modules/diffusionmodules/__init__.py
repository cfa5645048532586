"""``comfy.ldm.modules.diffusionmodules``: parts of U-Nets and autoencoders."""
