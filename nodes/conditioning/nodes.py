"""The nodes that combine conditionings and set their area, strength and steps."""

from __future__ import annotations

from typing import Annotated, Literal, NamedTuple

from graph.node import AddedLater, Range, node
from nodes.types import ClipVisionOutput, Conditioning, Image, Latent, Mask, Vae

Pixels = Annotated[int, Range(0, 16384, 8)]
Size = Annotated[int, Range(64, 16384, 8)]
Part = Annotated[float, Range(0, 1.0, 0.01)]
Strength = Annotated[float, Range(0.0, 10.0, 0.01)]
Percent = Annotated[float, Range(0.0, 1.0, 0.001)]

_FACTOR = 8  # pixels per latent pixel


@node("ConditioningCombine", display_name="Conditioning (Combine)", category="conditioning")
def conditioning_combine(*, conditioning_1: Conditioning, conditioning_2: Conditioning) -> Conditioning:
    """Use both: the model predicts for each, and the predictions are averaged."""
    return conditioning_1 + conditioning_2


@node("ConditioningAverage", category="conditioning")
def conditioning_average(
    *,
    conditioning_to: Conditioning,
    conditioning_from: Conditioning,
    conditioning_to_strength: Annotated[float, Range(0.0, 1.0, 0.01)] = 1.0,
) -> Conditioning:
    """Blend two prompts: strength 1 is all "to", 0 all "from".

    Raises ConditioningError if they come from text encoders of different widths.
    """
    from nodes.conditioning import entries

    return entries.averaged(conditioning_to, conditioning_from, conditioning_to_strength)


@node("ConditioningConcat", display_name="Conditioning (Concat)", category="conditioning")
def conditioning_concat(*, conditioning_to: Conditioning, conditioning_from: Conditioning) -> Conditioning:
    """Append the tokens of "from" to those of "to"; the two are encoded independently.

    Raises ConditioningError if they come from text encoders of different widths.
    """
    from nodes.conditioning import entries

    return entries.concatenated(conditioning_to, conditioning_from)


@node("ConditioningSetArea", display_name="Conditioning (Set Area)", category="conditioning")
def conditioning_set_area(
    *,
    conditioning: Conditioning,
    width: Size = 64,
    height: Size = 64,
    x: Pixels = 0,
    y: Pixels = 0,
    strength: Strength = 1.0,
) -> Conditioning:
    """Confine a prompt to a rectangle of the picture, given in pixels from the top left corner."""
    from nodes.conditioning import entries

    area = (height // _FACTOR, width // _FACTOR, y // _FACTOR, x // _FACTOR)
    return entries.with_options(conditioning, area=area, strength=strength, set_area_to_bounds=False)


@node(
    "ConditioningSetAreaPercentage",
    display_name="Conditioning (Set Area with Percentage)",
    category="conditioning",
)
def conditioning_set_area_percentage(
    *,
    conditioning: Conditioning,
    width: Part = 1.0,
    height: Part = 1.0,
    x: Part = 0,
    y: Part = 0,
    strength: Strength = 1.0,
) -> Conditioning:
    """Confine a prompt to a rectangle given as parts of the picture's size: 0.5 is half of it."""
    from nodes.conditioning import entries

    area = ("percentage", height, width, y, x)
    return entries.with_options(conditioning, area=area, strength=strength, set_area_to_bounds=False)


@node("ConditioningSetAreaStrength", category="conditioning")
def conditioning_set_area_strength(*, conditioning: Conditioning, strength: Strength = 1.0) -> Conditioning:
    """Set the weight of a prompt against others in the same place."""
    from nodes.conditioning import entries

    return entries.with_options(conditioning, strength=strength)


@node("ConditioningSetMask", display_name="Conditioning (Set Mask)", category="conditioning")
def conditioning_set_mask(
    *,
    conditioning: Conditioning,
    mask: Mask,
    strength: Strength = 1.0,
    set_cond_area: Literal["default", "mask bounds"],
) -> Conditioning:
    """Confine a prompt to where a mask is white; with "mask bounds" the model sees only that part."""
    from nodes.conditioning import entries

    return entries.masked(conditioning, mask, strength, crop=set_cond_area == "mask bounds")


@node("ConditioningSetTimestepRange", category="advanced/conditioning")
def conditioning_set_timestep_range(
    *, conditioning: Conditioning, start: Percent = 0.0, end: Percent = 1.0
) -> Conditioning:
    """Confine a prompt to a part of the sampling: 0 is pure noise, 1 the finished picture."""
    from nodes.conditioning import entries

    return entries.with_options(conditioning, start_percent=start, end_percent=end)


@node("ConditioningZeroOut", category="advanced/conditioning")
def conditioning_zero_out(*, conditioning: Conditioning) -> Conditioning:
    """Replace a prompt's vectors with zeros, which is not the same as the empty prompt."""
    from nodes.conditioning import entries

    return entries.zeroed(conditioning)


@node("unCLIPConditioning", category="conditioning")
def unclip_conditioning(
    *,
    conditioning: Conditioning,
    clip_vision_output: ClipVisionOutput,
    strength: Annotated[float, Range(-10.0, 10.0, 0.01)] = 1.0,
    noise_augmentation: Part = 0.0,
) -> Conditioning:
    """Add a picture to a prompt, for unCLIP models (arXiv:2204.06125) and SDXL; used again, several pictures.

    ``noise_augmentation`` is the amount of noise that blurs the picture's meaning, 0 to 1. Strength 0 adds nothing.
    """
    if strength == 0:
        return conditioning
    from nodes.conditioning import entries

    return entries.with_picture(conditioning, clip_vision_output, strength, noise_augmentation)


class SidesAndLatent(NamedTuple):
    """Both sides of guidance, and the latent to sample."""

    positive: Conditioning
    negative: Conditioning
    latent: Latent


@node("InpaintModelConditioning", display_name="InpaintModelConditioning", category="conditioning/inpaint")
def inpaint_model_conditioning(
    *,
    positive: Conditioning,
    negative: Conditioning,
    vae: Vae,
    pixels: Image,
    mask: Mask,
    noise_mask: Annotated[bool, AddedLater] = True,
) -> SidesAndLatent:
    """Give an inpainting model the picture around the mask, and the latent of the whole picture to start from.

    ``noise_mask``: sampling does not change anything outside the mask. Raises VaeInputError.
    """
    from nodes.conditioning import entries
    from nodes.vae import coding, inpainting
    from nodes.vae.network import autoencoder

    network = autoencoder(vae)
    pixels, mask = inpainting.cropped(pixels, mask, vae.config.factor)
    around = coding.encode(network, inpainting.greyed(pixels, mask))
    latent: Latent = {"samples": coding.encode(network, pixels)}
    if noise_mask:
        latent["noise_mask"] = mask
    options = {"concat_latent_image": around, "concat_mask": mask}
    positive, negative = (entries.with_options(side, **options) for side in (positive, negative))
    return SidesAndLatent(positive, negative, latent)


@node("InstructPixToPixConditioning", display_name=None, category="conditioning/instructpix2pix")
def instruct_pix_to_pix_conditioning(
    *, positive: Conditioning, negative: Conditioning, vae: Vae, pixels: Image
) -> SidesAndLatent:
    """Give an InstructPix2Pix model (arXiv:2211.09800) the picture to edit, and an empty latent of its size.

    The picture is cropped around its centre to multiples of 8. Raises VaeInputError.
    """
    import torch

    from nodes.conditioning import entries
    from nodes.vae import coding
    from nodes.vae.network import autoencoder

    picture = coding.encode(autoencoder(vae), pixels)
    positive, negative = (entries.with_options(side, concat_latent_image=picture) for side in (positive, negative))
    return SidesAndLatent(positive, negative, {"samples": torch.zeros_like(picture)})


@node("SD_4XUpscale_Conditioning", display_name=None, category="conditioning/upscale_diffusion")
def sd_4x_upscale_conditioning(
    *,
    images: Image,
    positive: Conditioning,
    negative: Conditioning,
    scale_ratio: Annotated[float, Range(0.0, 10.0, 0.01)] = 4.0,
    noise_augmentation: Annotated[float, Range(0.0, 1.0, 0.001)] = 0.0,
) -> SidesAndLatent:
    """Give the SD2 4× upscaler (arXiv:2112.10752) the picture to enlarge, and an empty latent of the larger size.

    ``noise_augmentation`` is the amount of noise added to the picture, so that the model invents more detail.
    """
    import torch

    from nodes.conditioning import entries

    small = entries.picture_to_enlarge(images, scale_ratio)
    options = {"concat_image": small, "noise_augmentation": noise_augmentation}
    positive, negative = (entries.with_options(side, **options) for side in (positive, negative))
    empty = torch.zeros(len(images), 4, *small.shape[-2:])
    return SidesAndLatent(positive, negative, {"samples": empty, "downscale_ratio_spacial": 4})
