"""Guidance defined by packs."""

import comfy.model_patcher
import comfy.samplers
import torch

from .network import Changing


class PerturbedAttention(Changing):
    """Perturbed-attention guidance, arXiv:2403.17377: away from what self-attention without attention gives."""

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"model": ("MODEL",), "scale": ("FLOAT", {"default": 3.0, "min": 0.0, "max": 100.0})}}

    def patch(self, model, scale):
        m = model.clone()

        def only_values(q, k, v, extra_options, mask=None):
            return v

        def post_cfg(args):
            if scale == 0:
                return args["denoised"]
            options = args["model_options"].copy()
            options = comfy.model_patcher.set_model_options_patch_replace(options, only_values, "attn1", "middle", 0)
            (perturbed,) = comfy.samplers.calc_cond_batch(
                args["model"], [args["cond"]], args["input"], args["sigma"], options
            )
            return args["denoised"] + (args["cond_denoised"] - perturbed) * scale

        m.set_model_sampler_post_cfg_function(post_cfg)
        return (m,)


class RescaledGuidance(Changing):
    """Guidance rescaled to the conditional prediction's deviation (arXiv:2305.08891, section 3.4), in the v form."""

    @classmethod
    def INPUT_TYPES(cls):
        multiplier = ("FLOAT", {"default": 0.7, "min": 0.0, "max": 1.0})
        return {"required": {"model": ("MODEL",), "multiplier": multiplier}}

    def patch(self, model, multiplier):
        def rescale(args):
            cond, uncond, scale = args["cond"], args["uncond"], args["cond_scale"]
            sigma = args["sigma"].view(args["sigma"].shape[:1] + (1,) * (cond.ndim - 1))
            original = args["input"]
            x = original / (sigma * sigma + 1.0)
            cond = ((x - (original - cond)) * (sigma**2 + 1.0) ** 0.5) / sigma
            uncond = ((x - (original - uncond)) * (sigma**2 + 1.0) ** 0.5) / sigma
            guided = uncond + scale * (cond - uncond)
            wanted = torch.std(cond, dim=(1, 2, 3), keepdim=True)
            rescaled = guided * (wanted / torch.std(guided, dim=(1, 2, 3), keepdim=True))
            final = multiplier * rescaled + (1.0 - multiplier) * guided
            return original - (x - final * sigma / (sigma * sigma + 1.0) ** 0.5)

        m = model.clone()
        m.set_model_sampler_cfg_function(rescale)
        return (m,)


class PerpendicularGuider(comfy.samplers.CFGGuider):
    """Only the part of the negative text that is perpendicular to the positive one, arXiv:2304.04968."""

    def set_conds(self, positive, negative, empty):
        self.inner_set_conds({"positive": positive, "negative": negative, "empty": empty})

    def predict_noise(self, x, timestep, model_options={}, seed=None):  # noqa: B006 - as packs write it
        sides = [self.conds.get(name) for name in ("positive", "negative", "empty")]
        positive, negative, empty = comfy.samplers.calc_cond_batch(self.inner_model, sides, x, timestep, model_options)
        pos, neg = positive - empty, negative - empty
        perpendicular = neg - (torch.mul(neg, pos).sum() / torch.norm(pos) ** 2) * pos
        return empty + self.cfg * (pos - perpendicular)


class PerpendicularNegative:
    CATEGORY, FUNCTION, RETURN_TYPES = "testing", "run", ("GUIDER",)

    @classmethod
    def INPUT_TYPES(cls):
        text = ("CONDITIONING",)
        cfg = ("FLOAT", {"default": 4.0})
        return {"required": {"model": ("MODEL",), "positive": text, "negative": text, "empty": text, "cfg": cfg}}

    def run(self, model, positive, negative, empty, cfg):
        guider = PerpendicularGuider(model)
        guider.set_conds(positive, negative, empty)
        guider.set_cfg(cfg)
        return (guider,)
