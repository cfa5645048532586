"""Pictures: plain ones, lazy mixtures, and expansions."""

import torch
from comfy_execution.graph_utils import GraphBuilder

SHADES = {"black": 0.0, "white": 1.0}


class PlainImage:
    CATEGORY = "flow"
    FUNCTION = "make"
    RETURN_TYPES = ("IMAGE",)

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"shade": (["black", "white", "noise"],), "size": ("INT", {"default": 64, "min": 1})}}

    def make(self, shade, size):
        if shade == "noise":
            return (torch.rand(1, size, size, 3),)
        return (torch.full((1, size, size, 3), SHADES[shade]),)


class PlainMask:
    CATEGORY = "flow"
    FUNCTION = "make"
    RETURN_TYPES = ("MASK",)

    @classmethod
    def INPUT_TYPES(cls):
        return {
            "required": {
                "value": ("FLOAT", {"default": 1.0, "min": 0.0, "max": 1.0, "step": 0.01}),
                "size": ("INT", {"default": 64, "min": 1}),
            }
        }

    def make(self, value, size):
        return (torch.full((1, size, size), value),)


class PlainInt:
    CATEGORY = "flow"
    FUNCTION = "make"
    RETURN_TYPES = ("INT",)

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"value": ("INT", {"default": 0, "min": -(2**31), "max": 2**31})}}

    def make(self, value):
        return (value,)


class PlainFloat(PlainInt):
    RETURN_TYPES = ("FLOAT",)

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"value": ("FLOAT", {"default": 0.0, "min": -1e6, "max": 1e6, "step": 0.01})}}


class LazyMix:
    """Requests only the pictures that are visible under the mask."""

    CATEGORY = "flow"
    FUNCTION = "mix"
    RETURN_TYPES = ("IMAGE",)

    @classmethod
    def INPUT_TYPES(cls):
        return {
            "required": {"image1": ("IMAGE", {"lazy": True}), "image2": ("IMAGE", {"lazy": True}), "mask": ("MASK",)}
        }

    def check_lazy_status(self, mask, image1, image2):
        wanted = []
        if image1 is None and mask.min() < 1:
            wanted.append("image1")
        if image2 is None and mask.max() > 0:
            wanted.append("image2")
        return wanted

    def mix(self, mask, image1, image2):
        if mask.max() == 0:
            return (image1,)
        if mask.min() == 1:
            return (image2,)
        shown = mask[..., None]
        return (image1 * (1 - shown) + image2 * shown,)


class Average:
    """Average of all linked pictures; only the first input is declared."""

    CATEGORY = "flow"
    FUNCTION = "average"
    RETURN_TYPES = ("IMAGE",)

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"input1": ("IMAGE",)}}

    def average(self, input1, **more):
        pictures = [input1]
        while f"input{len(pictures) + 1}" in more:
            pictures.append(more[f"input{len(pictures) + 1}"])
        return (torch.stack(pictures).mean(dim=0),)


class SaysChanged:
    CATEGORY = "flow"
    FUNCTION = "give"
    RETURN_TYPES = ("IMAGE",)

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"image": ("IMAGE",)}, "optional": {"changes": ("BOOLEAN", {"default": False})}}

    @classmethod
    def IS_CHANGED(cls, changes=False, *args, **kwargs):
        return float("nan") if changes else False

    def give(self, image, changes=False):
        return (image,)


class SaysChangedOfConstants:
    """Returns a change mark of the literal's value and of whether the picture is linked."""

    CATEGORY = "flow"
    FUNCTION = "give"
    RETURN_TYPES = ("IMAGE",)

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"image": ("IMAGE",), "value": ("FLOAT", {"default": 1.0, "min": 0.0, "max": 1.0})}}

    @classmethod
    def IS_CHANGED(cls, image, value):
        return value if image is None else float(image.mean()) * value

    def give(self, image, value):
        return (image * value,)


class Restless(PlainImage):
    NOT_IDEMPOTENT = True


class OutputWithSocket:
    """An output node that also feeds others."""

    CATEGORY = "flow"
    FUNCTION = "give"
    RETURN_TYPES = ("IMAGE",)
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"image": ("IMAGE",), "value": ("FLOAT", {"default": 1.0})}}

    def give(self, image, value):
        return (image * value,)


class MixedReturns:
    """Returns in one of three ways, chosen by its input."""

    CATEGORY = "flow"
    FUNCTION = "give"
    RETURN_TYPES = ("IMAGE", "IMAGE")

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"input1": ("FLOAT",)}}

    def give(self, input1):
        white = torch.ones(1, 64, 64, 3)
        if input1 <= 0.1:
            return (white * 0.1, white)
        if input1 <= 0.2:
            return {"result": (white * 0.2, white)}
        graph = GraphBuilder()
        mask = graph.node("PlainMask", value=0.3, size=64)
        black = graph.node("PlainImage", shade="black", size=64)
        light = graph.node("PlainImage", shade="white", size=64)
        mix = graph.node("LazyMix", image1=black.out(0), image2=light.out(0), mask=mask.out(0))
        return {"result": (mix.out(0), white), "expand": graph.finalize()}


class GrowsCycle:
    """Expands to two nodes that depend on each other."""

    CATEGORY = "flow"
    FUNCTION = "grow"
    RETURN_TYPES = ("IMAGE",)

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"input1": ("IMAGE",), "input2": ("IMAGE",)}}

    def grow(self, input1, input2):
        graph = GraphBuilder()
        mask = graph.node("PlainMask", value=0.5, size=64)
        first = graph.node("LazyMix", image1=input1, mask=mask.out(0))
        second = graph.node("LazyMix", image1=first.out(0), image2=input2, mask=mask.out(0))
        first.set_input("image2", second.out(0))
        return {"result": (first.out(0),), "expand": graph.finalize()}


class GrowsOutputs:
    """Expands to output nodes and has no outputs itself."""

    CATEGORY = "flow"
    FUNCTION = "grow"
    RETURN_TYPES = ()
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"image": ("IMAGE",), "count": ("INT", {"default": 2})}}

    def grow(self, image, count):
        graph = GraphBuilder()
        for _ in range(count):
            graph.node("PreviewImage", images=image)
        return {"expand": graph.finalize(), "result": ()}


class Fails:
    CATEGORY = "flow"
    FUNCTION = "fail"
    RETURN_TYPES = ("IMAGE",)

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"image": ("IMAGE",)}}

    def fail(self, image):
        raise RuntimeError("this node always fails")


class GrowsFailure(Fails):
    def fail(self, image):
        graph = GraphBuilder()
        inner = graph.node("Fails", image=image)
        return {"result": (inner.out(0),), "expand": graph.finalize()}


NODES = {
    found.__name__: found
    for found in (
        *(PlainImage, PlainMask, PlainInt, PlainFloat, LazyMix, Average, SaysChanged, SaysChangedOfConstants),
        *(Restless, OutputWithSocket, MixedReturns, GrowsCycle, GrowsOutputs, Fails, GrowsFailure),
    )
}
