"""Coroutines: sleepers that report progress, failures, time limits, lazy ones, shared semaphores."""

import asyncio
import time

import torch
from comfy.utils import ProgressBar
from comfy_execution.graph_utils import GraphBuilder

from .variants import takes_variants


@takes_variants
class Sleep:
    CATEGORY = "flow"
    FUNCTION = "sleep"
    RETURN_TYPES = ("*",)

    @classmethod
    def INPUT_TYPES(cls):
        return {
            "required": {
                "value": ("*",),
                "seconds": ("FLOAT", {"default": 1.0, "min": 0.0, "max": 9999.0, "step": 0.01}),
            },
            "hidden": {"unique_id": "UNIQUE_ID"},
        }

    async def sleep(self, value, seconds, unique_id):
        bar = ProgressBar(seconds, node_id=unique_id)
        start = time.time()
        while (passed := time.time() - start) < seconds:
            bar.update_absolute(passed)
            await asyncio.sleep(0.02)
        return (value,)


class SleepTogether:
    """Expands to as many sleepers as there are pictures, and their average."""

    CATEGORY = "flow"
    FUNCTION = "grow"
    RETURN_TYPES = ("IMAGE",)
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls):
        pictures = {f"image{number}": ("IMAGE",) for number in "123"}
        return {"required": {**pictures, "seconds": ("FLOAT", {"default": 0.4})}, "hidden": {"unique_id": "UNIQUE_ID"}}

    def grow(self, image1, image2, image3, seconds, unique_id):
        graph = GraphBuilder()
        sleeping = [graph.node("Sleep", value=image, seconds=seconds) for image in (image1, image2, image3)]
        mean = graph.node("Average", **{f"input{n}": node.out(0) for n, node in enumerate(sleeping, 1)})
        return {"result": (mean.out(0),), "expand": graph.finalize()}


class FailsLater:
    CATEGORY = "flow"
    FUNCTION = "fail"
    RETURN_TYPES = ("IMAGE",)

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"image": ("IMAGE",), "seconds": ("FLOAT", {"default": 0.05})}}

    async def fail(self, image, seconds):
        await asyncio.sleep(seconds)
        raise RuntimeError("this coroutine always fails")


class TimesOut(FailsLater):
    async def fail(self, image, seconds):
        try:
            await asyncio.wait_for(asyncio.sleep(60), seconds)
        except TimeoutError as error:
            raise RuntimeError("it took too long") from error
        return (image,)


class AsksLater:
    """Lazy, and takes time to request its inputs."""

    CATEGORY = "flow"
    FUNCTION = "choose"
    RETURN_TYPES = ("IMAGE",)

    @classmethod
    def INPUT_TYPES(cls):
        return {
            "required": {
                "first": ("IMAGE", {"lazy": True}),
                "second": ("IMAGE", {"lazy": True}),
                "take_first": ("BOOLEAN", {"default": True}),
            }
        }

    async def check_lazy_status(self, take_first, first, second):
        await asyncio.sleep(0.05)
        wanted, name = (first, "first") if take_first else (second, "second")
        return [name] if wanted is None else []

    def choose(self, take_first, first, second):
        return (first if take_first else second,)


class AtMostTwo:
    """Sleeps with at most one other of its kind, and returns how many slept at once."""

    CATEGORY = "flow"
    FUNCTION = "sleep"
    RETURN_TYPES = ("INT",)

    together = asyncio.Semaphore(2)
    sleeping = 0

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"value": ("INT", {"default": 0})}}

    async def sleep(self, value):
        async with self.together:
            type(self).sleeping += 1
            count = self.sleeping
            for _ in range(500):
                await asyncio.sleep(0.01)
                count = max(count, self.sleeping)
                if count > 1:
                    break
            await asyncio.sleep(0.05)  # time for a third, if there could be one
            count = max(count, self.sleeping)
            type(self).sleeping -= 1
        return (count,)


class SleepsOverBatch:
    """Handles each picture of a batch in a separate task."""

    CATEGORY = "flow"
    FUNCTION = "go"
    RETURN_TYPES = ("IMAGE",)

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"images": ("IMAGE",), "seconds": ("FLOAT", {"default": 0.05})}}

    async def go(self, images, seconds):
        async def one(image):
            await asyncio.sleep(seconds)
            return 1 - image

        return (torch.stack(await asyncio.gather(*map(one, images))),)


NODES = {
    found.__name__: found
    for found in (Sleep, SleepTogether, FailsLater, TimesOut, AsksLater, AtMostTwo, SleepsOverBatch)
}
