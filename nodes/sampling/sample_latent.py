"""Sampling for nodes: LATENT in, LATENT out, with progress and previews."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from torch import Tensor

from graph.context import Context
from nodes.models.changes import Sampler
from nodes.sampling.denoiser import once_a_step
from nodes.sampling.guided_model import GuidedModel
from nodes.sampling.guiders import CfgGuider
from nodes.sampling.latent_preview import previewer_for
from nodes.sampling.latents import fitting_latent, scaled_in, scaled_out
from nodes.sampling.noise import NoiseSource, NoNoise, RandomNoise
from nodes.sampling.sample import OnStep, StepDone
from nodes.sampling.sampler import sampler_named
from nodes.sampling.schedules import sigmas_for
from nodes.types import Conditioning, LatentDict

if TYPE_CHECKING:
    from nodes.models.handle import Model


class SampledLatents(NamedTuple):
    """The latent at the end of a run, and the last prediction of the clean one; the same if there were no steps."""

    output: LatentDict
    denoised: LatentDict


def schedule_for(model: Model, sampler_name: str, scheduler: str, steps: int, denoise: float = 1.0) -> Tensor:
    """Return the sigmas, float32 [n + 1], of a run with these settings, adjusted to the sampler.

    Raises ValueError if there is no such sampler or schedule.
    """
    skip = sampler_named(sampler_name).skips_penultimate
    return sigmas_for(scheduler, steps, model.sampling.levels(), denoise, skip)


def sample_latent(
    context: Context,
    model: Model,
    sigmas: Tensor,
    *,
    seed: int,
    sampler_name: str,
    scale: float,
    positive: Conditioning,
    negative: Conditioning,
    latent: LatentDict,
    add_noise: bool = True,
) -> LatentDict:
    """Run the steps of ``sigmas`` on ``latent`` with classifier-free guidance; the latent's other entries are kept.

    With fewer than two sigmas, the latent is returned unchanged. Raises SamplingError if the samples do not fit the
    model.
    """
    if len(sigmas) < 2:
        return latent
    guided = GuidedModel(model, CfgGuider(positive, negative, scale))
    noise = RandomNoise(seed) if add_noise else NoNoise(seed)
    return sample_guided_latent(context, guided, noise, sampler_named(sampler_name), sigmas, latent).output


def sample_guided_latent(
    context: Context,
    guided: GuidedModel,
    noise: NoiseSource,
    sampler: Sampler,
    sigmas: Tensor,
    latent: LatentDict,
) -> SampledLatents:
    """Run the steps of ``sigmas`` on ``latent``, starting with ``noise``; the latent's other entries are kept.

    Raises SamplingError if the samples do not fit the model.
    """
    model = guided.model
    latent = {**latent, "samples": fitting_latent(model, latent["samples"])}
    predicted: Tensor | None = None
    report = _progress(context, model)

    def on_step(done: StepDone) -> None:
        nonlocal predicted
        predicted = done.denoised
        report(done)

    samples = guided.sample(
        noise.generate_noise(latent),
        sigmas,
        sampler=sampler,
        latent=latent["samples"],
        seed=noise.seed,
        noise_mask=latent.get("noise_mask"),
        on_step=on_step,
    )
    denoised = samples if predicted is None else scaled_out(model, predicted.float()).cpu()
    return SampledLatents({**latent, "samples": samples}, {**latent, "samples": denoised})


def with_noise(model: Model, noise: NoiseSource, sigmas: Tensor, latent: LatentDict) -> LatentDict:
    """Add noise to ``latent`` for the distance between the first and the last of ``sigmas``; unchanged without sigmas.

    Values that are not finite become 0.
    """
    if len(sigmas) == 0:
        return latent
    samples = fitting_latent(model, latent["samples"])
    distance = abs(float(sigmas[0]) - float(sigmas[-1])) if len(sigmas) > 1 else float(sigmas[0])
    drawn = noise.generate_noise({**latent, "samples": samples})
    noisy = model.sampling.levels().noised_to(scaled_in(model, samples), drawn, distance)
    return {**latent, "samples": scaled_out(model, noisy).nan_to_num(nan=0.0, posinf=0.0, neginf=0.0)}


def _progress(context: Context, model: Model) -> OnStep:
    preview = previewer_for(model.latent, context)

    def report(done: StepDone) -> None:
        picture = None if preview is None else partial(preview, done.denoised)
        context.progress(done.step, done.steps, picture)

    return once_a_step(report, lambda done: context.check_interrupted())
