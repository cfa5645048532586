"""A pack that needs a part of ComfyUI that Sumi lacks."""

import comfy.ldm.not_there  # noqa: F401
