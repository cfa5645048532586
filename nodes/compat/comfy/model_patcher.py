"""``comfy.model_patcher``."""

from nodes.compat.comfy.model_objects import ModelPatcher

__all__ = ["ModelPatcher"]
