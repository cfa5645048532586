"""A pack like those that sample with their own guiders and schedules."""

import comfy.samplers
import latent_preview
import torch
from comfy.k_diffusion.sampling import DPMSolver, PIDStepSizeController
from comfy.k_diffusion.utils import FolderOfImages
from comfy_extras.nodes_align_your_steps import AlignYourStepsScheduler
from comfy_extras.nodes_custom_sampler import Guider_Basic, Guider_DualCFG, Noise_RandomNoise
from comfy_extras.nodes_gits import GITSScheduler
from comfy_extras.nodes_perpneg import Guider_PerpNeg

KNOWN = (AlignYourStepsScheduler, DPMSolver, FolderOfImages, GITSScheduler, PIDStepSizeController)


class Halfway(Guider_Basic):
    """Between no prompt and the prompt."""

    def predict_noise(self, x, timestep, model_options=None, seed=None):
        return super().predict_noise(x, timestep, model_options, seed)


class Guided:
    CATEGORY, FUNCTION, RETURN_TYPES = "popular/guiders", "run", ("LATENT",)

    @classmethod
    def INPUT_TYPES(cls):
        return {
            "required": {
                "model": ("MODEL",),
                "positive": ("CONDITIONING",),
                "negative": ("CONDITIONING",),
                "latent": ("LATENT",),
                "kind": (["cfg", "basic", "dual", "perpneg"],),
            }
        }

    def run(self, model, positive, negative, latent, kind):
        if kind == "cfg":
            guider = comfy.samplers.CFGGuider(model)
            guider.set_conds(positive, negative)
            guider.set_cfg(3.0)
        elif kind == "basic":
            guider = Halfway(model)
            guider.set_conds(positive)
        elif kind == "dual":
            guider = Guider_DualCFG(model)
            guider.set_conds(positive, negative, negative)
            guider.set_cfg(3.0, 3.0, nested=False)
        else:
            guider = Guider_PerpNeg(model)
            guider.set_conds(positive, negative, negative)
            guider.set_cfg(3.0, 0.0)
        sigmas = comfy.samplers.calculate_sigmas(model.get_model_object("model_sampling"), "karras", 2)
        callback = latent_preview.prepare_callback(model, len(sigmas) - 1)
        noise = Noise_RandomNoise(7)
        samples = guider.sample(
            noise.generate_noise(latent),
            latent["samples"],
            comfy.samplers.sampler_object("euler"),
            sigmas,
            callback=callback,
            seed=noise.seed,
        )
        assert torch.isfinite(samples).all()
        return ({**latent, "samples": samples},)


NODE_CLASS_MAPPINGS = {"PopularGuided": Guided}
