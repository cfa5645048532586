"""The nodes that change how a model's predictions are guided."""

from __future__ import annotations

from typing import Annotated, NamedTuple

from graph.node import Hint, Range, node
from nodes.types import Conditioning, LatentOperation, Model


class PatchedModel(NamedTuple):
    """The changed model."""

    patched_model: Model


@node("RescaleCFG", category="advanced/model", environment=False)
def rescale_cfg(*, model: Model, multiplier: Annotated[float, Range(0.0, 1.0, 0.01)] = 0.7) -> Model:
    """Rescale guidance so that high scales do not overexpose the picture (arXiv:2305.08891)."""
    from nodes.changes.adding import with_changes
    from nodes.changes.guidance import Rescaled

    return model if multiplier == 0 else with_changes(model, guidance=Rescaled(multiplier))


@node("APG", display_name="Adaptive Projected Guidance", category="sampling/custom_sampling", environment=False)
def adaptive_projected_guidance(
    *,
    model: Model,
    eta: Annotated[float, Range(-10.0, 10.0, 0.01)] = 1.0,
    norm_threshold: Annotated[float, Range(0.0, 50.0, 0.1)] = 5.0,
    momentum: Annotated[float, Range(-5.0, 1.0, 0.01)] = 0.0,
) -> Model:
    """Reduce the part of guidance that oversaturates; ``eta`` scales that part (arXiv:2410.02416)."""
    from nodes.changes.adding import before_guidance
    from nodes.changes.guidance import AdaptiveProjection

    return before_guidance(model, AdaptiveProjection(eta, norm_threshold, momentum))


@node("TCFG", display_name="Tangential Damping CFG", category="advanced/guidance", environment=False)
def tangential_damping_cfg(*, model: Model) -> PatchedModel:
    """Remove the part of the unconditional prediction that pulls sideways (arXiv:2503.18137)."""
    from nodes.changes.adding import before_guidance
    from nodes.changes.guidance import TangentialDamping

    return PatchedModel(before_guidance(model, TangentialDamping()))


@node("FreSca", category="_for_testing", experimental=True, environment=False)
def fresca(
    *,
    model: Model,
    scale_low: Annotated[float, Range(0, 10, 0.01)] = 1.0,
    scale_high: Annotated[float, Range(0, 10, 0.01)] = 1.25,
    freq_cutoff: Annotated[int, Range(1, 10000, 1)] = 20,
) -> Model:
    """Scale the low and the high frequencies of guidance separately (arXiv:2504.02154)."""
    from nodes.changes.adding import before_guidance
    from nodes.changes.guidance import ScaledFrequencies

    if scale_low == 1 and scale_high == 1:
        return model
    return before_guidance(model, ScaledFrequencies(scale_low, scale_high, freq_cutoff))


@node("Epsilon Scaling", display_name=None, category="model_patches/unet", environment=False)
def epsilon_scaling(
    *, model: Model, scaling_factor: Annotated[float, Range(0.5, 1.5, 0.001), Hint(display="number")] = 1.005
) -> Model:
    """Divide the predicted noise by a factor, to counter errors that add up over steps (arXiv:2308.15321)."""
    from nodes.changes.adding import after_guidance
    from nodes.changes.guidance import EpsilonScaling

    return model if scaling_factor == 1 else after_guidance(model, EpsilonScaling(scaling_factor))


@node(
    "Mahiro",
    display_name="Mahiro is so cute that she deserves a better guidance function!! (。・ω・。)",
    category="_for_testing",
    experimental=True,
    environment=False,
)
def mahiro(*, model: Model) -> PatchedModel:
    """Follow the positive prompt more the less it resembles the negative one."""
    from nodes.changes.adding import after_guidance
    from nodes.changes.guidance import Mahiro

    return PatchedModel(after_guidance(model, Mahiro()))


@node(
    "PerpNeg",
    display_name="Perp-Neg (DEPRECATED by PerpNegGuider)",
    category="_for_testing",
    experimental=True,
    deprecated=True,
    environment=False,
)
def perp_neg(
    *,
    model: Model,
    empty_conditioning: Conditioning,
    neg_scale: Annotated[float, Range(0.0, 100.0, 0.01)] = 1.0,
) -> Model:
    """Guide away from the part of the negative prompt that does not contradict the positive one (arXiv:2304.04968)."""
    from nodes.changes.adding import with_changes
    from nodes.changes.guidance import PerpendicularNegative

    return with_changes(model, guidance=PerpendicularNegative(empty_conditioning, neg_scale), both_sides=True)


@node(
    "PerturbedAttentionGuidance",
    display_name=None,
    category="model_patches/unet",
    environment=False,
)
def perturbed_attention_guidance(
    *, model: Model, scale: Annotated[float, Range(0.0, 100.0, 0.01), Hint(round=0.01)] = 3.0
) -> Model:
    """Guide away from a prediction without self-attention, for clearer structure (arXiv:2403.17377)."""
    from nodes.changes.adding import after_guidance
    from nodes.changes.attention_guidance import PerturbedAttention

    return model if scale == 0 else after_guidance(model, PerturbedAttention(scale))


@node(
    "SelfAttentionGuidance",
    display_name="Self-Attention Guidance",
    category="_for_testing",
    experimental=True,
    environment=False,
)
def self_attention_guidance(
    *,
    model: Model,
    scale: Annotated[float, Range(-2.0, 5.0, 0.01)] = 0.5,
    blur_sigma: Annotated[float, Range(0.0, 10.0, 0.1)] = 2.0,
) -> Model:
    """Guide away from a prediction whose attended parts are blurred, for finer detail (arXiv:2210.00939)."""
    from nodes.changes.adding import after_guidance, around_sides, with_changes
    from nodes.changes.attention_guidance import SelfAttention

    if scale == 0:
        return model
    guidance = SelfAttention(scale, blur_sigma)
    return with_changes(around_sides(after_guidance(model, guidance), guidance.recording), both_sides=True)


@node("LatentApplyOperationCFG", display_name=None, category="latent/advanced/operations", experimental=True)
def latent_apply_operation_cfg(*, model: Model, operation: LatentOperation) -> Model:
    """Apply a latent operation to the guidance of every step: to the positive minus the negative prediction.

    Where only the positive side is predicted (a scale of 1), the operation is applied to that prediction.
    """
    from nodes.changes import guidance
    from nodes.changes.adding import before_guidance

    return before_guidance(model, guidance.LatentOperation(operation))
