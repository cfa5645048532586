"""A pack with common mistakes: incomplete declarations, missing results, messages that are not JSON data."""

import comfy.samplers
import comfy.sd
import torch
from comfy_extras.nodes_flux import FluxGuidance

import nodes
from server import PromptServer


class Uploaded(nodes.LoadImage):
    """A picture, or data."""

    @classmethod
    def INPUT_TYPES(cls):
        files = ["red.png"]
        return {"required": {"image": (["#DATA", *files], {"image_upload": True})}}

    RETURN_TYPES = ("IMAGE", "MASK")
    CATEGORY = "popular/careless"

    def load_image(self, image):
        if image == "#DATA":
            return torch.zeros(1, 8, 8, 3), torch.zeros(1, 8, 8)
        return super().load_image(image)

    FUNCTION = "load_image"

    @classmethod
    def VALIDATE_INPUTS(cls, image):
        return image == "#DATA" or super().VALIDATE_INPUTS(image=image)

    @classmethod
    def IS_CHANGED(cls, image):
        return "" if image == "#DATA" else super().IS_CHANGED(image=image)


class Saved(nodes.SaveImage):
    """Inherits the description of its base."""

    CATEGORY = "popular/careless"


class Always:
    CATEGORY, FUNCTION, RETURN_TYPES = "popular/careless", "run", ("INT",)
    IS_CHANGED = True
    runs = 0

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {}}

    def run(self):
        Always.runs += 1
        return (Always.runs,)


class Virtual:
    """Has no method: only the editor's script uses it."""

    CATEGORY, RETURN_TYPES = "popular/careless", ("*",)

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {}}


class Silent:
    CATEGORY, FUNCTION, RETURN_TYPES, OUTPUT_NODE = "popular/careless", "run", ("IMAGE", "MASK"), True

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {}}

    def run(self):
        PromptServer.instance.send_sync("popular.tensor", {"tensor": torch.zeros(2)})
        return {}


class Nothing:
    CATEGORY, FUNCTION, RETURN_TYPES, OUTPUT_IS_LIST = "popular/careless", "run", ("INT",), (True,)

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {}}

    def run(self):
        return ([],)


class AfterNothing:
    CATEGORY, FUNCTION, RETURN_TYPES, OUTPUT_NODE = "popular/careless", "run", ("INT",), True

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"value": ("INT", {"forceInput": True})}}

    def run(self, value=-1):
        return {"ui": {"value": [value]}, "result": (value,)}


class Wanting:
    """Uses something of ComfyUI that Sumi does not have."""

    CATEGORY, FUNCTION, RETURN_TYPES, OUTPUT_NODE = "popular/careless", "run", (), True

    @classmethod
    def INPUT_TYPES(cls):
        return {
            "required": {"model": ("MODEL",), "clip": ("CLIP",), "vae": ("VAE",), "what": ("STRING", {"default": ""})},
        }

    def run(self, model, clip, vae, what):
        assert not hasattr(model, "no_such_part") and getattr(clip, "no_such_part", None) is None
        names = {
            "model": model,
            "clip": clip,
            "vae": vae,
            "comfy": comfy,
            "nodes": nodes,
            "server": PromptServer.instance,
        }
        return {"ui": {"text": [str(eval(what, {**names, "FluxGuidance": FluxGuidance}))]}}


class WantingAsynchronously(Wanting):
    async def run(self, model, clip, vae, what):
        return super().run(model, clip, vae, what)


NODE_CLASS_MAPPINGS = {
    "PopularUploaded": Uploaded,
    "PopularSaved": Saved,
    "PopularAlways": Always,
    "PopularVirtual": Virtual,
    "PopularSilent": Silent,
    "PopularNothing": Nothing,
    "PopularAfterNothing": AfterNothing,
    "PopularWanting": Wanting,
    "PopularWantingLater": WantingAsynchronously,
}
