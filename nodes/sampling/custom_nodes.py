"""The nodes that run a sampler with separate noise, sigmas and guider."""

from __future__ import annotations

from typing import NamedTuple

from graph.context import Context
from graph.node import node
from nodes.sampling.fields import GuidanceScale
from nodes.types import Conditioning, Guider, Latent, Model, Noise, Sampler, Seed, Sigmas

_CATEGORY = "sampling/custom_sampling"


class SampledLatents(NamedTuple):
    """The latent at the end of a run, and the last prediction of the clean one."""

    output: Latent
    denoised_output: Latent


@node("SamplerCustom", category=_CATEGORY)
def sampler_custom(
    *,
    context: Context,
    model: Model,
    add_noise: bool = True,
    noise_seed: Seed = 0,
    cfg: GuidanceScale = 8.0,
    positive: Conditioning,
    negative: Conditioning,
    sampler: Sampler,
    sigmas: Sigmas,
    latent_image: Latent,
) -> SampledLatents:
    """Run a sampler over noise levels with classifier-free guidance.

    Raises SamplingError if the latent does not fit the model.
    """
    from nodes.sampling.guided_model import GuidedModel
    from nodes.sampling.guiders import CfgGuider
    from nodes.sampling.noise import NoNoise, RandomNoise
    from nodes.sampling.sample_latent import sample_guided_latent

    guided = GuidedModel(model, CfgGuider(positive, negative, cfg))
    noise = RandomNoise(noise_seed) if add_noise else NoNoise(noise_seed)
    return SampledLatents(*sample_guided_latent(context, guided, noise, sampler, sigmas, latent_image))


@node("SamplerCustomAdvanced", category=_CATEGORY)
def sampler_custom_advanced(
    *,
    context: Context,
    noise: Noise,
    guider: Guider,
    sampler: Sampler,
    sigmas: Sigmas,
    latent_image: Latent,
) -> SampledLatents:
    """Run a sampler over noise levels, with any noise and any guidance.

    Raises SamplingError if the latent does not fit the model.
    """
    from nodes.sampling.sample_latent import sample_guided_latent

    return SampledLatents(*sample_guided_latent(context, guider, noise, sampler, sigmas, latent_image))


@node("AddNoise", category="_for_testing/custom_sampling/noise")
def add_noise(*, model: Model, noise: Noise, sigmas: Sigmas, latent_image: Latent) -> Latent:
    """Add the noise between the first and the last of some noise levels to a latent.

    Raises SamplingError if the latent does not fit the model.
    """
    from nodes.sampling.sample_latent import with_noise

    return with_noise(model, noise, sigmas, latent_image)
