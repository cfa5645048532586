"""Samplings, samplers and guiders defined by packs."""

import comfy.model_sampling
import comfy.sample
import comfy.samplers
import latent_preview
import torch
from comfy.k_diffusion.sampling import get_ancestral_step, to_d

from .network import Changing


class Prediction(Changing):
    """Treats the network's output as noise or velocity, with or without a last level of pure noise."""

    @classmethod
    def INPUT_TYPES(cls):
        required = {
            "model": ("MODEL",),
            "sampling": (["eps", "v_prediction"],),
            "zsnr": ("BOOLEAN", {"default": False}),
        }
        return {"required": required}

    def patch(self, model, sampling, zsnr):
        meaning = {"eps": comfy.model_sampling.EPS, "v_prediction": comfy.model_sampling.V_PREDICTION}[sampling]

        class ModelSamplingAdvanced(comfy.model_sampling.ModelSamplingDiscrete, meaning):
            pass

        m = model.clone()
        model_sampling = ModelSamplingAdvanced(model.model.model_config)
        if zsnr:
            model_sampling.set_sigmas(comfy.model_sampling.rescale_zero_terminal_snr_sigmas(model_sampling.sigmas))
        m.add_object_patch("model_sampling", model_sampling)
        return (m,)


@torch.no_grad()
def sample_own_euler(model, x, sigmas, extra_args=None, callback=None, disable=None, eta=0.0):
    """Euler's method as k-diffusion writes it."""
    extra_args = {} if extra_args is None else extra_args
    s_in = x.new_ones([x.shape[0]])
    for i in range(len(sigmas) - 1):
        denoised = model(x, sigmas[i] * s_in, **extra_args)
        down, _ = get_ancestral_step(sigmas[i], sigmas[i + 1], eta=eta)
        d = to_d(x, sigmas[i], denoised)
        if callback is not None:
            callback({"x": x, "i": i, "sigma": sigmas[i], "sigma_hat": sigmas[i], "denoised": denoised})
        x = x + d * (down - sigmas[i])
    return x


class OwnSampler:
    CATEGORY, FUNCTION, RETURN_TYPES = "testing", "run", ("SAMPLER",)

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"name": (["own", *comfy.samplers.KSampler.SAMPLERS],)}}

    def run(self, name):
        if name == "own":
            return (comfy.samplers.KSAMPLER(sample_own_euler, {"eta": 0.0}),)
        return (comfy.samplers.sampler_object(name),)


class OwnGuider:
    CATEGORY, FUNCTION, RETURN_TYPES = "testing", "run", ("GUIDER",)

    @classmethod
    def INPUT_TYPES(cls):
        text = ("CONDITIONING",)
        cfg = ("FLOAT", {"default": 4.0})
        return {"required": {"model": ("MODEL",), "positive": text, "negative": text, "cfg": cfg}}

    def run(self, model, positive, negative, cfg):
        guider = comfy.samplers.CFGGuider(model)
        guider.set_conds(positive, negative)
        guider.set_cfg(cfg)
        return (guider,)


class Samplers:
    """A run of a guider with a sampler."""

    CATEGORY, FUNCTION, RETURN_TYPES = "testing", "run", ("LATENT",)

    @classmethod
    def INPUT_TYPES(cls):
        return {
            "required": {
                "guider": ("GUIDER",),
                "sampler": ("SAMPLER",),
                "latent": ("LATENT",),
                "seed": ("INT", {"default": 0}),
                "steps": ("INT", {"default": 3}),
            }
        }

    def run(self, guider, sampler, latent, seed, steps):
        patcher = guider.model_patcher
        sigmas = comfy.samplers.calculate_sigmas(patcher.get_model_object("model_sampling"), "normal", steps).cpu()
        samples = comfy.sample.fix_empty_latent_channels(patcher, latent["samples"])
        x0_output = {}
        callback = latent_preview.prepare_callback(patcher, sigmas.shape[-1] - 1, x0_output)
        noise = comfy.sample.prepare_noise(samples, seed)
        result = guider.sample(noise, samples, sampler, sigmas, callback=callback, disable_pbar=True, seed=seed)
        last = patcher.model.process_latent_out(x0_output["x0"].cpu())
        if (last - result).abs().max() > 1e-3:  # the last step goes to sigma 0
            raise ValueError("the callback was not told the last prediction")
        return ({"samples": result},)
