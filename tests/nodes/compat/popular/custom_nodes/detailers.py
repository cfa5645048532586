"""A pack like those that detect regions of a picture and redraw them."""

import comfy.samplers
import comfy_extras.nodes_upscale_model as upscaling
import execution
import latent_preview
import torch
from comfy.cli_args import args
from comfy_extras.chainner_models import model_loading
from comfy_extras.nodes_custom_sampler import Noise_EmptyNoise, Noise_RandomNoise, SamplerCustom
from comfy_extras.nodes_mask import composite

import nodes
from nodes import MAX_RESOLUTION, ControlNetApply, ControlNetApplyAdvanced, LoraLoader
from server import PromptServer, uuid, web

args.preview_method = latent_preview.LatentPreviewMethod.Latent2RGB
KNOWN = (
    ControlNetApply,
    ControlNetApplyAdvanced,
    LoraLoader,
    SamplerCustom,
    Noise_EmptyNoise,
    model_loading,
    upscaling,
)


@PromptServer.instance.routes.get("/popular/ids")
async def ids(request):
    return web.json_response({"length": len(str(uuid.uuid4()))})


class Detail:
    CATEGORY, FUNCTION, RETURN_TYPES = "popular/detail", "run", ("IMAGE", "LATENT")

    @classmethod
    def INPUT_TYPES(cls):
        return {
            "required": {
                "image": ("IMAGE",),
                "mask": ("MASK",),
                "model": ("MODEL",),
                "vae": ("VAE",),
                "positive": ("CONDITIONING",),
                "negative": ("CONDITIONING",),
                "guide_size": ("INT", {"default": 64, "min": 8, "max": MAX_RESOLUTION, "step": 8}),
                "seed": ("INT", {"default": 0}),
                "sampler_name": (comfy.samplers.KSampler.SAMPLERS,),
                "scheduler": (comfy.samplers.KSampler.SCHEDULERS,),
                "method": (nodes.ImageScale.upscale_methods,),
            }
        }

    def run(self, image, mask, model, vae, positive, negative, guide_size, seed, sampler_name, scheduler, method):
        rows, columns = mask[0].any(1).nonzero(), mask[0].any(0).nonzero()
        top, left = int(rows[0]), int(columns[0])
        crop = image[:, top : int(rows[-1]) + 1, left : int(columns[-1]) + 1]
        height, width = crop.shape[1:3]
        (large,) = nodes.ImageScale().upscale(crop, method, guide_size, guide_size, "disabled")
        latent = nodes.VAEEncode().encode(vae, large)[0]
        latent["noise_mask"] = torch.ones(1, guide_size, guide_size)
        (drawn,) = nodes.KSampler().sample(
            model, seed, 2, 3.0, sampler_name, scheduler, positive, negative, latent, denoise=0.6
        )
        picture = nodes.VAEDecode().decode(vae, drawn)[0]
        (small,) = nodes.ImageScale().upscale(picture, method, width, height, "disabled")
        result = composite(image.movedim(-1, 1), small.movedim(-1, 1), left, top, None, 1)
        return result.movedim(1, -1), drawn


class PrivateNoise:
    """Noise of another seed mixed into the noise of the first, as a NOISE object."""

    CATEGORY, FUNCTION, RETURN_TYPES = "popular/detail", "run", ("LATENT",)

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"latent": ("LATENT",), "seed": ("INT", {"default": 1})}}

    def run(self, latent, seed):
        noise = Noise_RandomNoise(seed).generate_noise(latent)
        assert not Noise_EmptyNoise().generate_noise(latent).any()
        return ({**latent, "samples": latent["samples"] + noise},)


class Queued:
    """Validates a prompt by the executor's own function, which Sumi does not have."""

    CATEGORY, FUNCTION, RETURN_TYPES, OUTPUT_NODE = "popular/detail", "run", (), True

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {}}

    def run(self):
        return {"ui": {"valid": [execution.validate_prompt({})]}}


NODE_CLASS_MAPPINGS = {"PopularDetail": Detail, "PopularNoise": PrivateNoise, "PopularQueued": Queued}
