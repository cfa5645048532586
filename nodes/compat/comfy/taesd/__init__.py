"""``comfy.taesd``: tiny autoencoders for quick looks."""
