"""The nodes that make, scale, batch, composite, mask, save and load latents."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from graph.content import content_hash
from graph.context import Context
from graph.folders import Folders
from graph.node import AddedLater, Choices, ExtraPngInfo, Files, Listed, Prompt, Range, Socket, node
from graph.results import NodeResult
from nodes.input_files import LATENTS, is_there
from nodes.types import Latent, LatentDict, LatentOperation, Mask

UpscaleMethod = Literal["nearest-exact", "bilinear", "area", "bicubic", "bislerp"]
Crop = Literal["disabled", "center"]
Flip = Literal["x-axis: vertically", "y-axis: horizontally"]
Rotation = Literal["none", "90 degrees", "180 degrees", "270 degrees"]

Latents = Annotated[Sequence[LatentDict], Socket("LATENT")]
"""A list of latents, for nodes with list inputs or outputs."""
Side = Annotated[int, Range(0, 16384, 8)]
"""A number of pixels, at least 0."""
CropSide = Annotated[int, Range(64, 16384, 8)]
Fraction = Annotated[float, Range(0.0, 1.0, 0.01)]


@node("EmptyLatentImage", display_name="Empty Latent Image", category="latent")
def empty_latent_image(
    *,
    width: Annotated[int, Range(16, 16384, 8)] = 512,
    height: Annotated[int, Range(16, 16384, 8)] = 512,
    batch_size: Annotated[int, Range(1, 4096)] = 1,
) -> Latent:
    """Make an empty latent for the sampler to fill: zeros [batch_size, 4, height // 8, width // 8].

    A size that is not a multiple of 8 is rounded down, with a warning. Raises TooLargeError for a size that does not
    fit in memory, SizeError for a side below 8.
    """
    from nodes.latent import empty

    return {"samples": empty.empty_samples(width, height, batch_size)}


@node("LatentUpscale", display_name="Upscale Latent", category="latent")
def latent_upscale(
    *, samples: Latent, upscale_method: UpscaleMethod, width: Side = 512, height: Side = 512, crop: Crop
) -> Latent:
    """Scale a latent to a size in pixels; a side of 0 follows from the other.

    Sizes are rounded down to multiples of 8 and are at least 64. ``bislerp`` rotates latent vectors
    instead of averaging them.
    """
    from nodes.latent import scale

    return {**samples, "samples": scale.scale(samples["samples"], upscale_method, width, height, crop)}


@node("LatentUpscaleBy", display_name="Upscale Latent By", category="latent")
def latent_upscale_by(
    *, samples: Latent, upscale_method: UpscaleMethod, scale_by: Annotated[float, Range(0.01, 8.0, 0.01)] = 1.5
) -> Latent:
    """Scale a latent by a factor."""
    from nodes.latent import scale

    return {**samples, "samples": scale.scale_by(samples["samples"], upscale_method, scale_by)}


@node("LatentComposite", display_name="Latent Composite", category="latent")
def latent_composite(
    *, samples_to: Latent, samples_from: Latent, x: Side = 0, y: Side = 0, feather: Side = 0
) -> Latent:
    """Paste one latent onto another; its edges inside the other fade over ``feather`` pixels."""
    from nodes.latent import arithmetic

    pasted = arithmetic.paste(samples_to["samples"], samples_from["samples"], x // 8, y // 8, feather // 8)
    return {**samples_to, "samples": pasted}


@node("LatentCompositeMasked", category="latent")
def latent_composite_masked(
    *,
    destination: Latent,
    source: Latent,
    x: Side = 0,
    y: Side = 0,
    resize_source: Annotated[bool, AddedLater] = False,
    mask: Mask | None = None,
) -> Latent:
    """Paste one latent onto another where the mask is 1; the mask is resized to the source."""
    from nodes.composite import composite

    pasted = composite(destination["samples"], source["samples"], x // 8, y // 8, mask, resize_source)
    return {**destination, "samples": pasted}


@node("LatentBlend", display_name="Latent Blend", category="_for_testing")
def latent_blend(
    *, samples1: Latent, samples2: Latent, blend_factor: Annotated[float, Range(0, 1, 0.01)] = 0.5
) -> Latent:
    """Return a weighted mean: ``blend_factor`` of the first latent, 1 - ``blend_factor`` of the second."""
    from nodes.latent import arithmetic

    first = samples1["samples"]
    second = arithmetic.matched(samples2["samples"], first, "bicubic")
    return {**samples1, "samples": first * blend_factor + second * (1.0 - blend_factor)}


@node("LatentAdd", display_name=None, category="latent/advanced")
def latent_add(*, samples1: Latent, samples2: Latent) -> Latent:
    """Add two latents value by value; the second is scaled to the first's size."""
    from nodes.latent import arithmetic

    first = samples1["samples"]
    return {**samples1, "samples": first + arithmetic.matched(samples2["samples"], first)}


@node("LatentSubtract", display_name=None, category="latent/advanced")
def latent_subtract(*, samples1: Latent, samples2: Latent) -> Latent:
    """Subtract the second latent from the first value by value; it is scaled to the first's size."""
    from nodes.latent import arithmetic

    first = samples1["samples"]
    return {**samples1, "samples": first - arithmetic.matched(samples2["samples"], first)}


@node("LatentMultiply", display_name=None, category="latent/advanced")
def latent_multiply(*, samples: Latent, multiplier: Annotated[float, Range(-10.0, 10.0, 0.01)] = 1.0) -> Latent:
    """Multiply every latent value by a number."""
    return {**samples, "samples": samples["samples"] * multiplier}


@node("LatentInterpolate", display_name=None, category="latent/advanced")
def latent_interpolate(*, samples1: Latent, samples2: Latent, ratio: Fraction = 1.0) -> Latent:
    """Mix directions and lengths of two latents separately, so that contrast does not fade; 1 is only the first."""
    from nodes.latent import arithmetic

    first = samples1["samples"]
    second = arithmetic.matched(samples2["samples"], first)
    return {**samples1, "samples": arithmetic.interpolate(first, second, ratio)}


@node("LatentConcat", display_name=None, category="latent/advanced")
def latent_concat(
    *,
    samples1: Latent,
    samples2: Latent,
    dim: Annotated[str, Choices(("x", "-x", "y", "-y", "t", "-t"), as_object=True)],
) -> Latent:
    """Join two latents along an axis; a minus puts the second one first.

    Raises SizeError if their other sides differ.
    """
    from nodes.latent import arithmetic

    return {**samples1, "samples": arithmetic.concatenate(samples1["samples"], samples2["samples"], dim)}


@node("LatentCut", display_name=None, category="latent/advanced")
def latent_cut(
    *,
    samples: Latent,
    dim: Annotated[str, Choices(("x", "y", "t"), as_object=True)],
    index: Annotated[int, Range(-16384, 16384, 1)] = 0,
    amount: Annotated[int, Range(1, 16384, 1)] = 1,
) -> Latent:
    """Cut out a run of latent columns (x) or rows (y), counted in latent values of 8 pixels."""
    from nodes.latent import arithmetic

    return {**samples, "samples": arithmetic.cut(samples["samples"], dim, index, amount)}


@node("LatentBatchSeedBehavior", display_name=None, category="latent/advanced")
def latent_batch_seed_behavior(
    *, samples: Latent, seed_behavior: Annotated[str, Choices(("random", "fixed"), as_object=True)] = "fixed"
) -> Latent:
    """Choose whether each item of a batch gets its own noise (random) or all get the same (fixed)."""
    changed: LatentDict = {**samples}
    if seed_behavior == "random":
        changed.pop("batch_index", None)
    else:
        changed["batch_index"] = [samples.get("batch_index", (0,))[0]] * samples["samples"].shape[0]
    return changed


@node("LatentBatch", display_name=None, category="latent/batch")
def latent_batch(*, samples1: Latent, samples2: Latent) -> Latent:
    """Join two latents into one batch; the second is scaled and cropped to the first's size."""
    from nodes.latent import batch

    return batch.join(samples1, samples2)


@node("LatentFromBatch", display_name="Latent From Batch", category="latent/batch")
def latent_from_batch(
    *,
    samples: Latent,
    batch_index: Annotated[int, Range(0, 63)] = 0,
    length: Annotated[int, Range(1, 64)] = 1,
) -> Latent:
    """Take items out of a batch; each keeps the noise that it has in the batch."""
    from nodes.latent import batch

    return batch.take(samples, batch_index, length)


@node("RepeatLatentBatch", display_name="Repeat Latent Batch", category="latent/batch")
def repeat_latent_batch(*, samples: Latent, amount: Annotated[int, Range(1, 64)] = 1) -> Latent:
    """Repeat a batch; each repetition gets its own noise."""
    from nodes.latent import batch

    return batch.repeat(samples, amount)


@node("RebatchLatents", display_name="Rebatch Latents", category="latent/batch", input_is_list=True)
def rebatch_latents(*, latents: Latents, batch_size: Annotated[int, Range(1, 4096)] = 1) -> Annotated[Latents, Listed]:
    """Regroup latents into batches of one size, as a list."""
    from nodes.latent import batch

    return batch.rebatch(latents, batch_size[0])  # type: ignore[index]


@node("SetLatentNoiseMask", display_name="Set Latent Noise Mask", category="latent/inpaint")
def set_latent_noise_mask(*, samples: Latent, mask: Mask) -> Latent:
    """Limit sampling to where the mask is 1; the rest of the picture does not change."""
    return {**samples, "noise_mask": mask.reshape(-1, 1, *mask.shape[-2:])}


@node("LatentCrop", display_name="Crop Latent", category="latent/transform")
def latent_crop(*, samples: Latent, width: CropSide = 512, height: CropSide = 512, x: Side = 0, y: Side = 0) -> Latent:
    """Cut a window out of a latent, in pixels, rounded down to multiples of 8."""
    from nodes.latent import arithmetic

    return {**samples, "samples": arithmetic.crop(samples["samples"], width // 8, height // 8, x // 8, y // 8)}


@node("LatentFlip", display_name="Flip Latent", category="latent/transform")
def latent_flip(*, samples: Latent, flip_method: Flip) -> Latent:
    """Mirror a latent top to bottom (x-axis) or left to right (y-axis)."""
    axis = -2 if flip_method.startswith("x") else -1
    return {**samples, "samples": samples["samples"].flip(axis)}


@node("LatentRotate", display_name="Rotate Latent", category="latent/transform")
def latent_rotate(*, samples: Latent, rotation: Rotation) -> Latent:
    """Turn a latent clockwise by quarter turns."""
    turns = ("none", "90 degrees", "180 degrees", "270 degrees").index(rotation)
    return {**samples, "samples": samples["samples"].rot90(turns, (-1, -2)).contiguous()}


@node("SaveLatent", category="_for_testing", output_node=True)
def save_latent(
    *,
    samples: Latent,
    filename_prefix: str = "latents/ComfyUI",
    prompt: Prompt = None,
    extra_pnginfo: ExtraPngInfo = None,
    context: Context,
) -> NodeResult:
    """Save a latent in the output folder, as a .latent file that ComfyUI can read, too.

    Raises OutputFileError if it cannot be written; no partial file is left behind.
    """
    from nodes.latent import files

    saved = files.save_latent(
        context, samples["samples"], prefix=filename_prefix, prompt=prompt, extra_pnginfo=extra_pnginfo
    )
    return NodeResult(ui={"latents": [file.as_ui() for file in saved]})


def _latent_content(latent: str, folders: Folders) -> str:
    return content_hash(folders.annotated(latent))


def _latent_is_there(latent: str, folders: Folders) -> bool | str:
    return is_there(folders, latent)


@node("LoadLatent", category="_for_testing", fingerprint=_latent_content, validate=_latent_is_there)
def load_latent(*, latent: Annotated[str, Files("input", LATENTS)], context: Context) -> Latent:
    """Load a latent file (.latent) from the input folder.

    Raises InputFileError if the file is missing or not a latent.
    """
    from nodes.latent import files

    return {"samples": files.load_latent(context.folders.annotated(latent))}


@node("LatentApplyOperation", display_name=None, category="latent/advanced/operations", experimental=True)
def latent_apply_operation(*, samples: Latent, operation: LatentOperation) -> Latent:
    """Apply a latent operation once."""
    return {**samples, "samples": operation(samples["samples"])}


@node(
    "LatentOperationTonemapReinhard",
    display_name=None,
    category="latent/advanced/operations",
    experimental=True,
)
def latent_operation_tonemap_reinhard(
    *, multiplier: Annotated[float, Range(0.0, 100.0, 0.01)] = 1.0
) -> LatentOperation:
    """Make an operation that compresses strong latent values, against burnt colours at high guidance."""
    from nodes.latent import operations

    return operations.TonemapReinhard(multiplier)


@node("LatentOperationSharpen", display_name=None, category="latent/advanced/operations", experimental=True)
def latent_operation_sharpen(
    *,
    sharpen_radius: Annotated[int, Range(1, 31, 1)] = 9,
    sigma: Annotated[float, Range(0.1, 10.0, 0.1)] = 1.0,
    alpha: Annotated[float, Range(0.0, 5.0, 0.01)] = 0.1,
) -> LatentOperation:
    """Make an operation that sharpens latents by subtracting a blur."""
    from nodes.latent import operations

    return operations.Sharpen(sharpen_radius, sigma, alpha)
