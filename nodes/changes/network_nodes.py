"""The nodes that change a model's network."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Literal, TypeAlias

from graph.node import Choices, Hint, Range, node
from nodes.types import Clip, Model

_CATEGORY = "model_patches/unet"
_EXPERIMENTS = "_for_testing/attention_experiments"

Scale: TypeAlias = Annotated[float, Range(0.0, 10.0, 0.01)]
ResizeMethod: TypeAlias = Annotated[
    str,
    Choices(("bicubic", "nearest-exact", "bilinear", "area", "bislerp"), as_object=True),
    Hint(multiselect=False),
]
Percent: TypeAlias = Annotated[float, Range(0.0, 1.0, 0.001)]


@node("FreeU", category=_CATEGORY, environment=False)
def free_u(*, model: Model, b1: Scale = 1.1, b2: Scale = 1.2, s1: Scale = 0.9, s2: Scale = 0.2) -> Model:
    """Amplify the U-Net's backbone and damps its skip connections (arXiv:2309.11497)."""
    return _with_free_u(model, b1, b2, s1, s2, by_mean=False)


@node("FreeU_V2", category=_CATEGORY, environment=False)
def free_u_v2(*, model: Model, b1: Scale = 1.3, b2: Scale = 1.4, s1: Scale = 0.9, s2: Scale = 0.2) -> Model:
    """Amplify the U-Net's backbone where it is active, and damps its skip connections (arXiv:2309.11497)."""
    return _with_free_u(model, b1, b2, s1, s2, by_mean=True)


def _with_free_u(model: Model, b1: float, b2: float, s1: float, s2: float, by_mean: bool) -> Model:
    from nodes.changes.adding import with_inside
    from nodes.changes.free_u import FreeU

    if b1 == b2 == s1 == s2 == 1:
        return model
    change = FreeU(model.config.model_channels, b1, b2, s1, s2, by_mean)
    return with_inside(model, lambda inside: inside.with_patch("output_block_patch", change))


@node("HyperTile", display_name=None, category=_CATEGORY, environment=False)
def hyper_tile(
    *,
    model: Model,
    tile_size: Annotated[int, Range(1, 2048)] = 256,
    swap_size: Annotated[int, Range(1, 128)] = 2,
    max_depth: Annotated[int, Range(0, 10)] = 0,
    scale_depth: bool = False,
) -> Model:
    """Compute self-attention in tiles, which is faster for large pictures."""
    from nodes.changes.adding import with_inside
    from nodes.changes.hyper_tile import HyperTile
    from nodes.changes.randomness import with_generator

    change = HyperTile(tile_size, swap_size, max_depth, scale_depth)
    model = with_inside(
        model,
        lambda inside: inside.with_patch("attn1_patch", change.split).with_patch("attn1_output_patch", change.join),
    )
    return with_generator(model)


@node("TomePatchModel", display_name=None, category=_CATEGORY, environment=False)
def tome_patch_model(*, model: Model, ratio: Annotated[float, Range(0.0, 1.0, 0.01)] = 0.3) -> Model:
    """Merge similar tokens of self-attention, which is faster and loses some detail (arXiv:2303.17604)."""
    from nodes.changes.adding import with_inside
    from nodes.changes.randomness import with_generator
    from nodes.changes.token_merging import TokenMerging

    if ratio == 0:
        return model
    change = TokenMerging(ratio)
    model = with_inside(
        model,
        lambda inside: inside.with_patch("attn1_patch", change.merge).with_patch("attn1_output_patch", change.unmerge),
    )
    return with_generator(model)


@node("PatchModelAddDownscale", display_name="PatchModelAddDownscale (Kohya Deep Shrink)", category=_CATEGORY)
def patch_model_add_downscale(
    *,
    model: Model,
    block_number: Annotated[int, Range(1, 32, 1)] = 3,
    downscale_factor: Annotated[float, Range(0.1, 9.0, 0.001)] = 2.0,
    start_percent: Percent = 0.0,
    end_percent: Percent = 0.35,
    downscale_after_skip: bool = True,
    downscale_method: ResizeMethod,
    upscale_method: ResizeMethod,
) -> Model:
    """Compute the first steps at a lower resolution inside the network, to avoid double subjects in large pictures."""
    from nodes.changes.adding import with_inside
    from nodes.changes.deep_shrink import DeepShrink

    if downscale_factor == 1:
        return model
    levels = model.sampling.levels()
    start, end = levels.sigma_at(start_percent), levels.sigma_at(end_percent)
    change = DeepShrink(block_number, downscale_factor, start, end, downscale_method, upscale_method)
    place = "input_block_patch_after_skip" if downscale_after_skip else "input_block_patch"
    return with_inside(
        model,
        lambda inside: inside.with_patch(place, change.shrink).with_patch("output_block_patch", change.grow),
    )


@node("DifferentialDiffusion", display_name="Differential Diffusion", category="_for_testing", experimental=True)
def differential_diffusion(*, model: Model, strength: Annotated[float, Range(0.0, 1.0, 0.01)] | None = 1.0) -> Model:
    """Let a grey noise mask say how much each place changes (arXiv:2306.00950)."""
    from nodes.changes.adding import with_changes
    from nodes.changes.differential import DifferentialMask

    strength = 1.0 if strength is None else strength
    return model if strength == 0 else with_changes(model, mask=DifferentialMask(strength))


# -- weights of attention ----------------------------------------------------------------------------------------


@node("UNetSelfAttentionMultiply", display_name=None, category=_EXPERIMENTS, experimental=True, environment=False)
def unet_self_attention_multiply(
    *, model: Model, q: Scale = 1.0, k: Scale = 1.0, v: Scale = 1.0, out: Scale = 1.0
) -> Model:
    """Multiply the weights of the U-Net's self-attention."""
    return _unet_multiplied(model, {"attn1.to_q": q, "attn1.to_k": k, "attn1.to_v": v, "attn1.to_out.0": out})


@node("UNetCrossAttentionMultiply", display_name=None, category=_EXPERIMENTS, experimental=True, environment=False)
def unet_cross_attention_multiply(
    *, model: Model, q: Scale = 1.0, k: Scale = 1.0, v: Scale = 1.0, out: Scale = 1.0
) -> Model:
    """Multiply the weights of the U-Net's attention to the text."""
    return _unet_multiplied(model, {"attn2.to_q": q, "attn2.to_k": k, "attn2.to_v": v, "attn2.to_out.0": out})


@node("UNetTemporalAttentionMultiply", display_name=None, category=_EXPERIMENTS, experimental=True, environment=False)
def unet_temporal_attention_multiply(
    *,
    model: Model,
    self_structural: Scale = 1.0,
    self_temporal: Scale = 1.0,
    cross_structural: Scale = 1.0,
    cross_temporal: Scale = 1.0,
) -> Model:
    """Multiply the output of attention within pictures (structural) and between them (temporal, in video models)."""
    structural = {"attn1.to_out.0": self_structural, "attn2.to_out.0": cross_structural}
    temporal = {"attn1.to_out.0": self_temporal, "attn2.to_out.0": cross_temporal}
    return _unet_multiplied(_unet_multiplied(model, structural), temporal, in_time=True)


@node("CLIPAttentionMultiply", display_name=None, category=_EXPERIMENTS, experimental=True, environment=False)
def clip_attention_multiply(*, clip: Clip, q: Scale = 1.0, k: Scale = 1.0, v: Scale = 1.0, out: Scale = 1.0) -> Clip:
    """Multiply the weights of the text encoders' attention."""
    from nodes.changes.attention_weights import scaled
    from nodes.models.text_config import expected_shapes

    factors = {
        "self_attn.q_proj": q,
        "self_attn.k_proj": k,
        "self_attn.v_proj": v,
        "self_attn.out_proj": out,
    }
    encoders = tuple(
        replace(encoder, patches=(*encoder.patches, *scaled(expected_shapes(encoder.config), factors)))
        for encoder in clip.encoders
    )
    return replace(clip, encoders=encoders)


def _unet_multiplied(model: Model, factors: dict[str, float], in_time: bool = False) -> Model:
    """``in_time`` selects the attention between the pictures of a video instead of that within each."""
    from nodes.changes.attention_weights import scaled
    from nodes.models.unet_config import expected_shapes

    names = [name for name in expected_shapes(model.config) if (".time_stack." in name) is in_time]
    return replace(model, patches=(*model.patches, *scaled(names, factors)))


# -- precision and compilation -----------------------------------------------------------------------------------


@node("ModelComputeDtype", category="advanced/debug/model", environment=False)
def model_compute_dtype(*, model: Model, dtype: Literal["default", "fp32", "fp16", "bf16"]) -> Model:
    """Set the precision in which the model computes; default uses the one of --precision."""
    return replace(model, precision=None if dtype == "default" else dtype)


@node("TorchCompileModel", display_name=None, category="_for_testing", experimental=True)
def torch_compile_model(
    *,
    model: Model,
    backend: Annotated[
        Literal["inductor", "cudagraphs"],
        Choices(("inductor", "cudagraphs"), as_object=True),
        Hint(multiselect=False),
    ],
) -> Model:
    """Compile the model's network with torch.compile: the first step takes minutes, the others are faster.

    Raises CompilerError, which says what to install, if the backend cannot work here.
    """
    from nodes.changes.adding import with_changes
    from nodes.compiling import Compilation, check_backend

    check_backend(backend)
    return with_changes(model, compile=Compilation(backend))
