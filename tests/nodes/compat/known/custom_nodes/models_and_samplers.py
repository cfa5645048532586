"""Loaders, prompts, pipes, latents and samplers, called in each of the ways that packs call them."""

import comfy.model_management
import comfy.sample
import comfy.samplers
import comfy.sd
import comfy.utils
import folder_paths
import latent_preview
import node_helpers
import torch
from comfy.samplers import KSampler

import nodes
from nodes import NODE_CLASS_MAPPINGS as ALL
from nodes import CLIPTextEncode, EmptyLatentImage, VAEDecode, common_ksampler

SEED = ("INT", {"default": 0, "min": 0, "max": 0xFFFFFFFFFFFFFFFF})


class Loader:
    """Loads everything into one pipe."""

    @classmethod
    def INPUT_TYPES(cls):
        return {
            "required": {
                "ckpt_name": (folder_paths.get_filename_list("checkpoints"),),
                "vae_name": (["Baked VAE", *folder_paths.get_filename_list("vae")],),
                "clip_skip": ("INT", {"default": -1, "min": -24, "max": -1}),
                "positive": ("STRING", {"default": "", "multiline": True, "dynamicPrompts": True}),
                "negative": ("STRING", {"default": "", "multiline": True}),
            }
        }

    RETURN_TYPES = ("KNOWN_PIPE", "MODEL", "VAE")
    FUNCTION = "load"
    CATEGORY = "known/models"

    def load(self, ckpt_name, vae_name, clip_skip, positive, negative):
        path = folder_paths.get_full_path_or_raise("checkpoints", ckpt_name)
        model, clip, vae = comfy.sd.load_checkpoint_guess_config(
            path,
            output_vae=True,
            output_clip=True,
            embedding_directory=folder_paths.get_folder_paths("embeddings"),
        )[:3]
        clip = clip.clone()
        clip.clip_layer(clip_skip)
        tokens = clip.tokenize(positive)
        cond, pooled = clip.encode_from_tokens(tokens, return_pooled=True)
        pipe = {
            "model": model,
            "clip": clip,
            "vae": vae,
            "positive": [[cond, {"pooled_output": pooled}]],
            "negative": clip.encode_from_tokens_scheduled(clip.tokenize(negative)),
        }
        return (pipe, model, vae)


class FromPipe:
    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"pipe": ("KNOWN_PIPE",)}}

    RETURN_TYPES = ("MODEL", "CLIP", "VAE", "CONDITIONING", "CONDITIONING")
    FUNCTION = "take"
    CATEGORY = "known/models"

    def take(self, pipe):
        return tuple(pipe[name] for name in ("model", "clip", "vae", "positive", "negative"))


class Conditionings:
    """Concatenates, sets an area and a range."""

    @classmethod
    def INPUT_TYPES(s):
        return {"required": {"to": ("CONDITIONING",), "source": ("CONDITIONING",)}}

    RETURN_TYPES = ("CONDITIONING", "CONDITIONING")
    FUNCTION = "go"
    CATEGORY = "known/conditioning"

    def go(self, to, source):
        joined = [[torch.cat((t[0], source[0][0]), 1), t[1].copy()] for t in to]
        area = node_helpers.conditioning_set_values(
            to, {"area": (4, 4, 0, 0), "strength": 0.8, "set_area_to_bounds": False}
        )
        (both,) = nodes.ConditioningCombine().combine(joined, area)
        return (both, node_helpers.conditioning_set_values(joined, {"start_percent": 0.0, "end_percent": 0.5}))


class LatentBy:
    upscale_methods = ["nearest-exact", "bilinear", "area", "bicubic", "bislerp"]  # noqa: RUF012

    @classmethod
    def INPUT_TYPES(s):
        return {
            "required": {
                "samples": ("LATENT",),
                "upscale_method": (s.upscale_methods,),
                "scale_by": ("FLOAT", {"default": 1.5, "min": 0.01, "max": 8.0, "step": 0.01}),
            }
        }

    RETURN_TYPES = ("LATENT",)
    FUNCTION = "upscale"
    CATEGORY = "known/latent"

    def upscale(self, samples, upscale_method, scale_by):
        s = samples.copy()
        width, height = (round(samples["samples"].shape[d] * scale_by) for d in (3, 2))
        s["samples"] = comfy.utils.common_upscale(samples["samples"], width, height, upscale_method, "disabled")
        return (s,)


class Sample:
    """One run by the way that ``how`` names; all give the same result."""

    @classmethod
    def INPUT_TYPES(s):
        return {
            "required": {
                "how": (["common_ksampler", "class", "mappings", "comfy.sample", "KSampler", "sample_custom"],),
                "pipe": ("KNOWN_PIPE",),
                "seed": SEED,
                "steps": ("INT", {"default": 20, "min": 1, "max": 10000}),
                "cfg": ("FLOAT", {"default": 8.0, "min": 0.0, "max": 100.0, "step": 0.1, "round": 0.01}),
                "sampler_name": (comfy.samplers.KSampler.SAMPLERS,),
                "scheduler": (KSampler.SCHEDULERS,),
            },
            "optional": {"latent": ("LATENT",), "denoise": ("FLOAT", {"default": 1.0, "min": 0.0, "max": 1.0})},
        }

    RETURN_TYPES = ("LATENT", "IMAGE")
    FUNCTION = "sample"
    CATEGORY = "known/sampling"

    def sample(self, how, pipe, seed, steps, cfg, sampler_name, scheduler, latent=None, denoise=1.0):
        model, positive, negative = pipe["model"], pipe["positive"], pipe["negative"]
        latent = latent or EmptyLatentImage().generate(64, 64, 1)[0]
        settings = (seed, steps, cfg, sampler_name, scheduler, positive, negative, latent)
        if how == "common_ksampler":
            (out,) = common_ksampler(model, *settings, denoise=denoise)
        elif how == "class":
            (out,) = nodes.KSampler().sample(model, *settings, denoise=denoise)
        elif how == "mappings":
            cls = ALL["KSampler"]
            names = ("seed", "steps", "cfg", "sampler_name", "scheduler", "positive", "negative", "latent_image")
            inputs = dict(zip(names, settings, strict=True))
            (out,) = getattr(cls(), cls.FUNCTION)(model=model, denoise=denoise, **inputs)
        else:
            out = latent.copy()
            image = comfy.sample.fix_empty_latent_channels(model, latent["samples"])
            noise = comfy.sample.prepare_noise(image, seed, latent.get("batch_index"))
            callback = latent_preview.prepare_callback(model, steps)
            disable_pbar = not comfy.utils.PROGRESS_BAR_ENABLED
            more = {"callback": callback, "disable_pbar": disable_pbar, "seed": seed}
            if how == "comfy.sample":
                out["samples"] = comfy.sample.sample(
                    model, noise, steps, cfg, sampler_name, scheduler, positive, negative, image,
                    denoise=denoise, disable_noise=False, start_step=None, last_step=None,
                    force_full_denoise=False, noise_mask=None, **more,
                )  # fmt: skip
            elif how == "KSampler":
                device = comfy.model_management.get_torch_device()
                sampler = comfy.samplers.KSampler(
                    model, steps=steps, device=device, sampler=sampler_name, scheduler=scheduler,
                    denoise=denoise, model_options=model.model_options,
                )  # fmt: skip
                out["samples"] = sampler.sample(noise, positive, negative, cfg=cfg, latent_image=image, **more)
            else:
                sampling = model.get_model_object("model_sampling")
                sigmas = comfy.samplers.calculate_sigmas(sampling, scheduler, steps).cpu()
                sampler = comfy.samplers.sampler_object(sampler_name)
                out["samples"] = comfy.sample.sample_custom(
                    model, noise, cfg, sampler, sigmas, positive, negative, image, **more
                )
        return (out, VAEDecode().decode(pipe["vae"], out)[0])


class EncodeTwice:
    """Encodes a text through the class and through the object."""

    @classmethod
    def INPUT_TYPES(s):
        return {"required": {"clip": ("CLIP",), "text": ("STRING", {"multiline": True})}}

    RETURN_TYPES = ("BOOLEAN",)
    FUNCTION = "encode"
    CATEGORY = "known/conditioning"

    def encode(self, clip, text):
        (first,) = CLIPTextEncode().encode(clip, text)
        second = clip.encode_from_tokens_scheduled(clip.tokenize(text))
        return (bool(torch.equal(first[0][0], second[0][0])),)


NODE_CLASS_MAPPINGS = {
    f"Known{c.__name__}": c for c in (Loader, FromPipe, Conditionings, LatentBy, Sample, EncodeTwice)
}
