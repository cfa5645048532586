"""A pack that needs a part of ComfyUI that is not here."""

import comfy.ldm.modules.attention  # noqa: F401
