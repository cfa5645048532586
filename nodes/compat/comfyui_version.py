"""``comfyui_version``: the ComfyUI version whose interface Sumi implements."""

from typing import Final

__version__: Final = "0.3.76"
