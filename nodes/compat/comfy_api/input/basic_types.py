"""``comfy_api.input.basic_types``: pictures, masks, sound and latents."""

from nodes.compat.comfy_api.input import AudioInput, ImageInput, LatentInput, MaskInput

__all__ = ["AudioInput", "ImageInput", "LatentInput", "MaskInput"]
