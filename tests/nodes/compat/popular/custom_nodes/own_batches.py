"""A pack like those that batch conditions themselves, for related pictures."""

import comfy.hooks
import comfy.model_base
import comfy.patcher_extension
import comfy.sampler_helpers
import comfy.supported_models
import torch
from comfy.controlnet import ControlBase
from comfy.hooks import EnumHookScope, HookGroup, TransformerOptionsHook
from comfy.ldm.modules.attention import wrap_attn
from comfy.ldm.modules.diffusionmodules import openaimodel
from comfy.ldm.modules.diffusionmodules.openaimodel import ResBlock, SpatialTransformer
from comfy.ldm.modules.diffusionmodules.util import timestep_embedding, zero_module
from comfy.model_patcher import ModelPatcher
from comfy.patcher_extension import PatcherInjection
from comfy.samplers import can_concat_cond, cond_cat, get_area_and_mult


class Motion(torch.nn.Module):
    """A network of the pack's own, which adds nothing at first."""

    def __init__(self):
        super().__init__()
        self.last = zero_module(torch.nn.Linear(8, 4))

    def forward(self, timesteps):
        return self.last(timestep_embedding(timesteps, 8))


class OwnControl(ControlBase):
    pass


@wrap_attn
def own_attention(q, k, v, heads, mask=None, **kwargs):
    return torch.nn.functional.scaled_dot_product_attention(q, k, v)


def one_by_one(arguments):
    """Predict every condition separately, with the same result as Sumi's own batches."""
    x, sigma, model, options = (arguments[name] for name in ("input", "sigma", "model", "model_options"))
    predicted = []
    for number, side in enumerate(arguments["conds"]):
        total, weights = torch.zeros_like(x), torch.ones_like(x) * 1e-37
        for cond in side or ():
            found = get_area_and_mult(cond, x, sigma)
            if found is None:
                continue
            assert can_concat_cond(found, found)
            inputs = cond_cat([found.conditioning])
            inputs["transformer_options"] = {**options["transformer_options"], "cond_or_uncond": [number]}
            height, width, top, left = found.area
            at = (..., slice(top, top + height), slice(left, left + width))
            total[at] += model.apply_model(found.input_x, sigma, **inputs) * found.mult
            weights[at] += found.mult
        predicted.append(total / weights)
    return predicted


class OneByOne:
    CATEGORY, FUNCTION, RETURN_TYPES = "popular/batches", "run", ("MODEL",)

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"model": ("MODEL",)}}

    def run(self, model):
        assert isinstance(model, ModelPatcher) and isinstance(model.model, comfy.model_base.BaseModel)
        assert not isinstance(model.model, (comfy.model_base.SVD_img2vid, comfy.model_base.SD21UNCLIP))
        assert isinstance(model.model.model_config, comfy.supported_models.SD15)
        network = model.model.diffusion_model
        assert isinstance(network, openaimodel.UNetModel)
        kinds = {type(part) for block in network.input_blocks for part in block}
        assert {ResBlock, SpatialTransformer} <= kinds
        assert not Motion()(torch.tensor([5.0])).any()
        model = model.clone()
        model.set_model_sampler_calc_cond_batch_function(one_by_one)
        return (model,)


class Hooked:
    """Sets hooks, or none, on a CONDITIONING."""

    CATEGORY, FUNCTION, RETURN_TYPES = "popular/batches", "run", ("CONDITIONING",)

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"positive": ("CONDITIONING",), "hooks": ("BOOLEAN", {"default": False})}}

    def run(self, positive, hooks):
        group = HookGroup()
        if hooks:
            group.add(TransformerOptionsHook({"patches": {}}, hook_scope=EnumHookScope.HookedOnly))
        return (comfy.hooks.set_hooks_for_conditioning(positive, group.clone_and_combine(None)),)


class Injected:
    """Puts modules into the network in place, which Sumi refuses."""

    CATEGORY, FUNCTION, RETURN_TYPES = "popular/batches", "run", ("MODEL",)

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"model": ("MODEL",)}}

    def run(self, model):
        model = model.clone()
        model.set_injections("motion", [PatcherInjection(inject=print, eject=print)])
        return (model,)


NODE_CLASS_MAPPINGS = {"PopularOneByOne": OneByOne, "PopularHooked": Hooked, "PopularInjected": Injected}
