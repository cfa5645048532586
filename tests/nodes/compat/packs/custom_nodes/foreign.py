"""A pack that needs a part of ComfyUI that is not here."""

import comfy.ldm.flux.layers  # noqa: F401
