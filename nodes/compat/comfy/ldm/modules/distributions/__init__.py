"""``comfy.ldm.modules.distributions``."""
