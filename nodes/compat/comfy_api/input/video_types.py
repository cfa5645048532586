"""``comfy_api.input.video_types``: videos."""

from nodes.compat.comfy_api.input import VideoInput

__all__ = ["VideoInput"]
