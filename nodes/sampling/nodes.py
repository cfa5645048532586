"""The KSampler nodes: a whole run in one node."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from graph.context import Context
from graph.node import Range, node
from nodes.sampling.fields import Denoise, GuidanceScale, SamplerName, SchedulerName, Steps
from nodes.types import Conditioning, Latent, Model, Seed

Step: TypeAlias = Annotated[int, Range(0, 10_000)]


@node("KSampler", display_name="KSampler", category="sampling")
def ksampler(
    *,
    context: Context,
    model: Model,
    seed: Seed = 0,
    steps: Steps = 20,
    cfg: GuidanceScale = 8.0,
    sampler_name: SamplerName,
    scheduler: SchedulerName,
    positive: Conditioning,
    negative: Conditioning,
    latent_image: Latent,
    denoise: Denoise = 1.0,
) -> Latent:
    """Turn noise into a latent that fits the prompts, step by step.

    ``denoise`` below 1 adds less noise to the input latent, and so keeps more of it.
    Raises SamplingError if the latent does not fit the model.
    """
    from nodes.sampling.sample_latent import sample_latent, schedule_for

    return sample_latent(
        context,
        model,
        schedule_for(model, sampler_name, scheduler, steps, denoise),
        seed=seed,
        sampler_name=sampler_name,
        scale=cfg,
        positive=positive,
        negative=negative,
        latent=latent_image,
    )


@node("KSamplerAdvanced", display_name="KSampler (Advanced)", category="sampling")
def ksampler_advanced(
    *,
    context: Context,
    model: Model,
    add_noise: Literal["enable", "disable"],
    noise_seed: Seed = 0,
    steps: Steps = 20,
    cfg: GuidanceScale = 8.0,
    sampler_name: SamplerName,
    scheduler: SchedulerName,
    positive: Conditioning,
    negative: Conditioning,
    latent_image: Latent,
    start_at_step: Step = 0,
    end_at_step: Step = 10_000,
    return_with_leftover_noise: Literal["disable", "enable"],
) -> Latent:
    """Run some of a schedule's steps, so that several samplers can share one picture.

    Raises SamplingError if the latent does not fit the model.
    """
    from nodes.sampling.sample_latent import sample_latent, schedule_for
    from nodes.sampling.schedules import cut

    sigmas = schedule_for(model, sampler_name, scheduler, steps)
    return sample_latent(
        context,
        model,
        cut(sigmas, start_at_step, end_at_step, to_zero=return_with_leftover_noise == "disable"),
        seed=noise_seed,
        sampler_name=sampler_name,
        scale=cfg,
        positive=positive,
        negative=negative,
        latent=latent_image,
        add_noise=add_noise == "enable",
    )
