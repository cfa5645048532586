"""Progress through the public interface of two versions, from coroutines and plain functions."""

import asyncio

from comfy_api.latest import ComfyAPI
from comfy_api.v0_0_2 import ComfyAPISync

api = ComfyAPI()
api_sync = ComfyAPISync()


class TellsProgress:
    CATEGORY = "flow"
    FUNCTION = "tell"
    RETURN_TYPES = ("*",)

    @classmethod
    def INPUT_TYPES(cls):
        return {
            "required": {"value": ("*",), "steps": ("INT", {"default": 3, "min": 1})},
            "hidden": {"unique_id": "UNIQUE_ID"},
        }

    def tell(self, value, steps, unique_id):
        for step in range(steps):
            api_sync.execution.set_progress(value=step + 1, max_value=steps, node_id=unique_id, preview_image=value)
        return (value,)


class TellsProgressLater(TellsProgress):
    async def tell(self, value, steps, unique_id):
        for step in range(steps):
            await asyncio.sleep(0.01)
            await api.execution.set_progress(step + 1, steps, preview_image=value)
        return (value,)


NODES = {found.__name__: found for found in (TellsProgress, TellsProgressLater)}
