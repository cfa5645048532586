"""Changes of weights."""

import torch

from .network import Changing


class LowRank(Changing):
    """A LoRA of random numbers on every cross-attention."""

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"model": ("MODEL",), "strength": ("FLOAT", {"default": 1.0, "min": -10.0, "max": 10.0})}}

    def patch(self, model, strength):
        generator = torch.Generator().manual_seed(0)
        patches = {}
        for name, weight in model.model_state_dict("diffusion_model.").items():
            if name.endswith(("attn2.to_k.weight", "attn2.to_v.weight")):
                up = torch.randn(weight.shape[0], 4, generator=generator) * 0.1
                down = torch.randn(4, weight.shape[1], generator=generator)
                patches[name] = ("lora", (up, down, 4.0, None, None))
        m = model.clone()
        if set(m.add_patches(patches, strength)) != set(patches):
            raise ValueError("some were not taken")
        return (m,)


class Merged(Changing):
    """A weighted mean of two models."""

    @classmethod
    def INPUT_TYPES(cls):
        ratio = ("FLOAT", {"default": 1.0, "min": 0.0, "max": 1.0})
        return {"required": {"model1": ("MODEL",), "model2": ("MODEL",), "ratio": ratio}}

    FUNCTION = "merge"

    def merge(self, model1, model2, ratio):
        m = model1.clone()
        key_patches = model2.get_key_patches("diffusion_model.")
        for key in key_patches:
            m.add_patches({key: key_patches[key]}, 1.0 - ratio, ratio)
        return (m,)
