"""Guidance changes over a small real U-Net, against diffusers and their formulas."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from nodes.changes import guidance_nodes, network_nodes
from nodes.changes.attention_guidance import blurred
from nodes.changes.frequencies import scaled_frequencies
from nodes.latent.operations import TonemapReinhard
from nodes.models.changes import GuidanceStep, ModelChanges, NetworkCall
from nodes.models.handle import Model
from nodes.sampling.guiders import BasicGuider, CfgGuider, PerpNegGuider
from nodes.sampling.noise import initial_noise
from nodes.sampling.sample import sample
from nodes.sampling.sampler import SAMPLERS
from nodes.sampling.schedules import sigmas_for
from tests.nodes.sampling.small_model import denoiser_of, model_of, noisy, prompt, small_unet, text

CLOSE: dict[str, Any] = {"rtol": 1e-4, "atol": 1e-4}
SIGMA, SCALE = 3.0, 4.0
NETWORK = small_unet()


def guided(model: Model, scale: float = SCALE, x: Tensor | None = None, sigma: float = SIGMA) -> Tensor:
    x = noisy(2) if x is None else x
    return denoiser_of(model, CfgGuider(prompt(1), prompt(2), scale))(x, sigma)


def side(number: int, x: Tensor | None = None, sigma: float = SIGMA) -> Tensor:
    return denoiser_of(model_of(NETWORK), BasicGuider(prompt(number)))(noisy(2) if x is None else x, sigma)


def picture(model: Model, steps: int = 3, scale: float = SCALE, **more: Any) -> Tensor:
    arguments: dict[str, Any] = {
        "sampler": SAMPLERS["euler"],
        "positive": prompt(1),
        "negative": prompt(2),
        "scale": scale,
        "latent": torch.zeros(1, 4, 16, 16),
        "seed": 3,
    }
    sigmas = sigmas_for("normal", steps, model.sampling.levels())
    noise = more.pop("noise", initial_noise((1, 4, 16, 16), 3))
    return sample(model, noise, sigmas, **{**arguments, **more})


WITHOUT_EFFECT: dict[str, Callable[[Model], Model]] = {
    "RescaleCFG": lambda model: guidance_nodes.rescale_cfg(model=model, multiplier=0.0),
    "FreSca": lambda model: guidance_nodes.fresca(model=model, scale_low=1.0, scale_high=1.0),
    "Epsilon Scaling": lambda model: guidance_nodes.epsilon_scaling(model=model, scaling_factor=1.0),
    "PAG": lambda model: guidance_nodes.perturbed_attention_guidance(model=model, scale=0.0),
    "SAG": lambda model: guidance_nodes.self_attention_guidance(model=model, scale=0.0),
    "FreeU": lambda model: network_nodes.free_u(model=model, b1=1.0, b2=1.0, s1=1.0, s2=1.0),
    "FreeU_V2": lambda model: network_nodes.free_u_v2(model=model, b1=1.0, b2=1.0, s1=1.0, s2=1.0),
    "ToMe": lambda model: network_nodes.tome_patch_model(model=model, ratio=0.0),
    "deep shrink": lambda model: network_nodes.patch_model_add_downscale(
        model=model, downscale_factor=1.0, downscale_method="bicubic", upscale_method="bicubic"
    ),
    "differential": lambda model: network_nodes.differential_diffusion(model=model, strength=0.0),
}


@pytest.mark.parametrize("name", WITHOUT_EFFECT)
def test_without_strength_nothing_changes_bit_for_bit(model: Model, name: str) -> None:
    mask = torch.linspace(0, 1, 16).expand(1, 16, 16)
    more: dict[str, Any] = {"latent": noisy()[:, :, :16, :16], "noise_mask": mask}
    assert torch.equal(picture(WITHOUT_EFFECT[name](model), **more), picture(model, **more))


# -- in place of guidance ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("multiplier", [0.0, 0.3, 0.7, 1.0])
def test_rescaled_guidance_is_that_of_diffusers(model: Model, multiplier: float) -> None:
    from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import rescale_noise_cfg

    x, root = noisy(2), (SIGMA**2 + 1) ** 0.5
    v = [(x / root**2 - side(number)) * root / SIGMA for number in (1, 2)]
    v_guided = rescale_noise_cfg(v[1] + (v[0] - v[1]) * SCALE, v[0], multiplier)
    found = guided(guidance_nodes.rescale_cfg(model=model, multiplier=multiplier))
    torch.testing.assert_close(found, x / root**2 - v_guided * SIGMA / root, **CLOSE)
    torch.testing.assert_close(
        guided(guidance_nodes.rescale_cfg(model=model, multiplier=multiplier), 1.0), side(1), **CLOSE
    )


@pytest.mark.parametrize("scale", [1.0, 4.0])
def test_perpendicular_negative_is_what_its_guider_computes(model: Model, scale: float) -> None:
    changed = guidance_nodes.perp_neg(model=model, empty_conditioning=prompt(3), neg_scale=0.7)
    expected = denoiser_of(model, PerpNegGuider(prompt(1), prompt(2), prompt(3), scale, 0.7))(noisy(2), SIGMA)
    torch.testing.assert_close(guided(changed, scale), expected, **CLOSE)


def test_perpendicular_negative_with_the_empty_prompt_as_the_positive_one(model: Model) -> None:
    changed = guidance_nodes.perp_neg(model=model, empty_conditioning=prompt(1), neg_scale=0.7)
    torch.testing.assert_close(guided(changed), side(1) - (side(2) - side(1)) * 0.7 * SCALE, **CLOSE)


def test_the_empty_prompt_is_made_ready_once_a_run(model: Model) -> None:
    texts: set[int] = set()

    def look(proceed: Any, call: NetworkCall) -> Tensor:
        texts.add(id(call.inputs["text"]))
        return proceed(call)

    changed = guidance_nodes.perp_neg(
        model=model_of(NETWORK, ModelChanges(around_denoise=(look,))), empty_conditioning=prompt(3)
    )
    picture(changed, steps=4)
    assert len(texts) == 2  # both sides joined, and the empty one


# -- before guidance ---------------------------------------------------------------------------------------------


def test_adaptive_projection_is_that_of_diffusers(model: Model) -> None:
    """ComfyUI's node adds the plain difference once more, so that its scale counts from 0."""
    from diffusers.guiders.adaptive_projected_guidance import MomentumBuffer, normalized_guidance

    for momentum in (0.0, -0.5):
        changed = guidance_nodes.adaptive_projected_guidance(
            model=model, eta=0.3, norm_threshold=8.0, momentum=momentum
        )
        denoiser = denoiser_of(changed, CfgGuider(prompt(1), prompt(2), SCALE))
        buffer = MomentumBuffer(momentum) if momentum else None
        for sigma in (5.0, 3.0, 2.0):
            c, u = side(1, sigma=sigma), side(2, sigma=sigma)
            expected = normalized_guidance(c, u, SCALE, buffer, eta=0.3, norm_threshold=8.0) + (c - u)
            torch.testing.assert_close(denoiser(noisy(2), sigma), expected, **CLOSE)
        buffer = MomentumBuffer(momentum) if momentum else None
        c, u = side(1, sigma=6.0), side(2, sigma=6.0)  # a level above the last: the average starts again
        expected = normalized_guidance(c, u, SCALE, buffer, eta=0.3, norm_threshold=8.0) + (c - u)
        torch.testing.assert_close(denoiser(noisy(2), 6.0), expected, **CLOSE)


def test_adaptive_projection_keeps_no_state_between_runs(model: Model) -> None:
    changed = guidance_nodes.adaptive_projected_guidance(model=model, momentum=-0.7)
    assert torch.equal(picture(changed), picture(changed))
    assert torch.equal(picture(changed, scale=1.0), picture(model, scale=1.0))


def test_tangential_damping_is_that_of_diffusers(model: Model) -> None:
    from diffusers.guiders.tangential_classifier_free_guidance import normalized_guidance

    x = noisy(2)
    (found,) = guidance_nodes.tangential_damping_cfg(model=model)
    expected = normalized_guidance(x - side(1), x - side(2), SCALE, use_original_formulation=True)
    # diffusers' original formulation starts from the conditional noise: a scale of 1 there is 0 here.
    torch.testing.assert_close(guided(found, SCALE + 1), x - expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(("cutoff", "low", "high"), [(1, 0.2, 1.0), (3, 1.0, 1.5), (500, 0.5, 3.0)])
def test_frequencies_are_scaled_as_in_diffusers(cutoff: int, low: float, high: float) -> None:
    from diffusers.utils.torch_utils import fourier_filter

    for size in ((16, 16), (12, 18)):
        x = torch.randn(2, 3, *size)
        threshold = min(cutoff, *(side // 2 for side in size))
        if cutoff < 500:
            expected = fourier_filter(x, threshold, low / high) * high
            torch.testing.assert_close(scaled_frequencies(x, cutoff, low, high), expected, **CLOSE)
        else:
            torch.testing.assert_close(scaled_frequencies(x, cutoff, low, high), x * low, **CLOSE)


def test_scaled_frequencies_of_guidance(model: Model) -> None:
    found = guided(guidance_nodes.fresca(model=model, scale_low=0.8, scale_high=1.4, freq_cutoff=4))
    difference = scaled_frequencies(side(1) - side(2), 4, 0.8, 1.4)
    torch.testing.assert_close(found, side(2) + difference * SCALE, **CLOSE)


def test_a_latent_operation_on_guidance(model: Model) -> None:
    operation = TonemapReinhard(0.6)
    found = guidance_nodes.latent_apply_operation_cfg(model=model, operation=operation)
    torch.testing.assert_close(guided(found), side(2) + operation(side(1) - side(2)) * SCALE, **CLOSE)
    torch.testing.assert_close(guided(found, 1.0), operation(side(1)), **CLOSE)


# -- after guidance ----------------------------------------------------------------------------------------------


def test_epsilon_scaling_divides_the_noise(model: Model) -> None:
    x = noisy(2)
    found = guided(guidance_nodes.epsilon_scaling(model=model, scaling_factor=1.05))
    torch.testing.assert_close(x - found, (x - guided(model)) / 1.05, **CLOSE)


def test_mahiro(model: Model) -> None:
    (changed,) = guidance_nodes.mahiro(model=model)
    c, u, g = side(1), side(2), guided(model)
    merged = (c * SCALE + g) / 2
    roots = [value.sign() * value.abs() ** 0.5 for value in (u * SCALE, merged)]
    k = (roots[0] * roots[1]).sum(1) / (roots[0].norm(dim=1) * roots[1].norm(dim=1))
    weight = 2 * (k.mean() + 1)
    torch.testing.assert_close(guided(changed), (weight * g + (4 - weight) * SCALE * c) / 4, **CLOSE)


def test_changes_are_applied_in_the_order_of_their_nodes(model: Model) -> None:
    x = noisy(2)
    both = guidance_nodes.epsilon_scaling(model=guidance_nodes.mahiro(model=model).patched_model, scaling_factor=1.1)
    expected = x - (x - guided(guidance_nodes.mahiro(model=model).patched_model)) / 1.1
    torch.testing.assert_close(guided(both), expected, **CLOSE)


# -- attention ---------------------------------------------------------------------------------------------------


def direct(number: int, x: Tensor, **replaced: Any) -> Tensor:
    """One side's prediction by the network itself, with functions in place of self-attention."""
    levels = model_of(NETWORK).sampling.levels()
    timesteps = torch.full((len(x),), float(levels.timestep(SIGMA)))
    options = {"patches_replace": {"attn1": replaced["attn1"]}} if replaced else {}
    output = NETWORK(
        levels.network_input(x, SIGMA),
        timesteps,
        text(number).expand(len(x), -1, -1),
        transformer_options=options,
    )
    return levels.denoised(x, output, SIGMA)


@pytest.mark.parametrize("scale", [1.0, SCALE])
def test_perturbed_attention_guidance(model: Model, scale: float) -> None:
    perturbed = direct(1, noisy(2), attn1={("middle", 0): lambda q, k, v, options: v})
    found = guided(guidance_nodes.perturbed_attention_guidance(model=model, scale=2.5), scale)
    torch.testing.assert_close(found, guided(model, scale) + (side(1) - perturbed) * 2.5, **CLOSE)
    assert (found - guided(model, scale)).abs().max() > 1e-3


def test_the_blur_is_that_of_diffusers() -> None:
    from diffusers.pipelines.deprecated.stable_diffusion_sag import pipeline_stable_diffusion_sag

    x = torch.randn(2, 4, 12, 9)
    for sigma in (0.4, 2.0):
        expected = pipeline_stable_diffusion_sag.gaussian_blur_2d(x, 9, sigma)
        torch.testing.assert_close(blurred(x, sigma), expected, **CLOSE)
    assert torch.equal(blurred(x, 0.0), x)


@pytest.mark.parametrize("scale", [1.0, SCALE])
def test_self_attention_guidance(model: Model, scale: float) -> None:
    x = torch.cat([noisy(1), noisy(1).flip(-1).roll(5, -2)])
    seen: list[Tensor] = []

    def record(q: Tensor, k: Tensor, v: Tensor, options: Any) -> Tensor:
        heads = options["n_heads"]
        split = [each.unflatten(2, (heads, -1)).transpose(1, 2) for each in (q, k, v)]
        scores = (split[0] @ split[1].transpose(2, 3) / split[0].shape[-1] ** 0.5).softmax(-1)
        seen.append(scores)
        return (scores @ split[2]).transpose(1, 2).flatten(2)

    u = direct(2, x, attn1={("middle", 0): record})
    mask = (seen[0].mean(1).sum(1) > 1).float().reshape(2, 1, 8, 8)
    assert 0 < mask.mean() < 1
    mask = F.interpolate(mask, (16, 16))
    degraded = u * (1 - mask) + blurred(u, 1.5) * mask
    expected = guided(model, scale, x) + (degraded - direct(2, degraded + x - u)) * 0.8
    changed = guidance_nodes.self_attention_guidance(model=model, scale=0.8, blur_sigma=1.5)
    torch.testing.assert_close(guided(changed, scale, x), expected, rtol=1e-3, atol=1e-3)


def test_self_attention_guidance_leaves_tiny_latents_alone(model: Model) -> None:
    changed = guidance_nodes.self_attention_guidance(model=model, scale=0.8)
    small: dict[str, Any] = {"latent": torch.zeros(1, 4, 4, 16), "noise": initial_noise((1, 4, 4, 16), 3)}
    torch.testing.assert_close(picture(changed, **small), picture(model, **small), rtol=1e-3, atol=1e-3)


def test_self_attention_guidance_with_areas_uses_the_whole_picture_alone(model: Model) -> None:
    changed = guidance_nodes.self_attention_guidance(model=model, scale=0.8)
    area = [*prompt(1, area=(8, 8, 4, 8)), *prompt(2)]
    assert picture(changed, positive=area).isfinite().all()


def test_guidance_changes_work_together(model: Model) -> None:
    changed = guidance_nodes.rescale_cfg(model=model, multiplier=0.7)
    changed = guidance_nodes.adaptive_projected_guidance(model=changed)
    changed = guidance_nodes.perturbed_attention_guidance(model=changed)
    changed = guidance_nodes.self_attention_guidance(model=changed)
    changed = guidance_nodes.fresca(model=changed)
    seen: list[int] = []

    def count(step: GuidanceStep) -> Tensor:
        seen.append(len(step.predictions))
        assert step.guided is not None
        return step.guided

    after = (*changed.changes.after_guidance, count)
    changed = dataclasses.replace(changed, changes=dataclasses.replace(changed.changes, after_guidance=after))
    assert picture(changed).isfinite().all() and seen == [2, 2, 2]
