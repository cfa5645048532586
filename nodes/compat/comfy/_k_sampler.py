"""Converts samplers between k-diffusion's form, ``f(model, x, sigmas, extra_args, callback, disable, …)``, and Sumi's.

``model(x, sigma, **extra_args)`` takes noise levels [B]. ``callback`` gets a dict of ``i``, ``x``, ``sigma``,
``sigma_hat`` and ``denoised`` after each step.
"""

from __future__ import annotations

import dataclasses
import inspect
import math
from collections.abc import Callable, Mapping
from typing import Any, Final

import torch
from torch import Tensor

from graph.errors import SumiError
from nodes.compat.comfy._model_options import set_model_options_post_cfg_function
from nodes.compat.comfy.model_sampling import ObjectLevels
from nodes.models import changes as native
from nodes.models.changes import NO_CHANGES, OnStep, SamplerCall, StepDone
from nodes.models.noise_levels import NoiseLevels
from nodes.sampling.denoiser import Observed, Sigma, once_a_step
from nodes.sampling.sampler import FunctionSampler, sampled

TRANSLATION: Final = "comfy"
"""The name under which a run's predictor keeps its translation; see ``_translate.translation``."""

Callback = Callable[[int, Tensor, Tensor, int], Any]
"""``(step, denoised, x, steps)``, step from 0; ``x`` is the noisy latent."""


class SamplerOptionError(SumiError):
    """A sampler got an option that it does not have. The message names both."""


class Sampler:
    """The base of samplers that ``CFGGuider.sample`` runs: a subclass defines ``sample``."""

    def sample(self, *args: Any, **kwargs: Any) -> Any:
        """See :meth:`KSAMPLER.sample`."""
        raise NotImplementedError(f"{type(self).__qualname__} has no method 'sample'")

    def max_denoise(self, model_wrap: Any, sigmas: Tensor) -> bool:
        """Return whether the run starts from pure noise."""
        largest, first = float(model_wrap.inner_model.model_sampling.sigma_max), float(sigmas[0])
        return math.isclose(largest, first, rel_tol=1e-05) or first > largest


class KSAMPLER(Sampler):
    """A sampling function with its options. ``inpaint_options["random"]``: outside a mask, noise of another seed."""

    def __init__(
        self,
        sampler_function: Callable[..., Tensor],
        extra_options: Mapping[str, Any] | None = None,
        inpaint_options: Mapping[str, Any] | None = None,
    ):
        self.sampler_function = sampler_function
        self.extra_options = dict(extra_options or {})
        self.inpaint_options = dict(inpaint_options or {})

    def sample(
        self,
        model_wrap: Any,
        sigmas: Tensor,
        extra_args: dict[str, Any],
        callback: Callback | None,
        noise: Tensor,
        latent_image: Tensor,
        denoise_mask: Tensor | None = None,
        disable_pbar: bool = False,
    ) -> Tensor:
        """``latent_image``, in the network's scale, noised and brought to the last of ``sigmas``."""
        denoiser = KDenoiser(model_wrap, extra_args)
        seed, levels = extra_args.get("seed") or 0, ObjectLevels(model_wrap.inner_model.model_sampling)
        call = SamplerCall(
            NativeSampler(self), denoiser, noise, latent_image, denoise_mask, sigmas.cpu().float(), seed, levels,
            denoiser.changes, on_step_of(callback),
        )  # fmt: skip

        def steps(masked: Any, x: Tensor) -> Tensor:
            model = KSamplerX0Inpaint(model_wrap, sigmas)
            model.latent_image, model.noise, model.denoiser = latent_image, noise, masked
            return self.sampler_function(
                model,
                x,
                sigmas,
                extra_args={**extra_args, "denoise_mask": denoise_mask},
                callback=_ignore,
                disable=disable_pbar,
                **self.extra_options,
            )

        return sampled(call, steps, bool(self.inpaint_options.get("random", False)))


class KSamplerX0Inpaint:
    """A guider's denoiser under a mask, as k-diffusion's functions call it."""

    latent_image: Tensor
    noise: Tensor
    denoiser: Any

    def __init__(self, model: Any, sigmas: Tensor):
        self.inner_model = model
        self.sigmas = sigmas

    def __call__(
        self,
        x: Tensor,
        sigma: Tensor,
        denoise_mask: Tensor | None = None,
        model_options: Mapping[str, Any] | None = None,
        seed: int | None = None,
    ) -> Tensor:
        """Return the clean latent; the run's mask is applied already."""
        denoised: Tensor = self.denoiser(x, sigma.flatten()[0], {"model_options": model_options or {}, "seed": seed})
        return denoised


@dataclasses.dataclass(frozen=True, eq=False)
class NativeSampler:
    """A pack's sampler object as one of Sumi's samplers."""

    sampler: Any
    skips_penultimate: bool = False

    def sample(self, call: SamplerCall) -> Tensor:
        """A run of the pack's sampler with the guider that packs see."""
        denoiser: Any = call.denoiser
        if isinstance(denoiser, KDenoiser):
            extra_args = dict(denoiser.extra_args)
        else:
            options = denoiser.predictor.kept[TRANSLATION].options(denoiser.changes)
            extra_args = {"model_options": options, "seed": call.seed}
        samples: Tensor = self.sampler.sample(
            guider_of(denoiser),
            call.sigmas.to(call.latent.device),
            extra_args,
            callback_of(call.on_step),
            call.noise,
            call.latent,
            call.mask,
            True,
        )
        return samples


def guider_of(denoiser: Any) -> Any:
    """Return the guider of a denoiser, as packs see it: see ``nodes.compat.comfy._guider.PackGuider``."""
    return denoiser.model if isinstance(denoiser, KDenoiser) else denoiser.guider.guider


class KDenoiser:
    """A model in k-diffusion's form as Sumi's samplers call it."""

    def __init__(self, model: Any, extra_args: Mapping[str, Any]):
        self.model = model
        self.extra_args = dict(extra_args)

    def __call__(self, x: Tensor, sigma: Sigma, changed_args: Mapping[str, Any] | None = None) -> Tensor:
        levels = x.new_full((len(x),), float(sigma))
        denoised: Tensor = self.model(x, levels, **{**self.extra_args, **(changed_args or {})})
        return denoised

    @property
    def changes(self) -> native.ModelChanges:
        """Return the changes that the model's options describe; none for a model object that a pack wrote itself."""
        translation = getattr(getattr(self.model, "inner_model", None), "translation", None)
        return NO_CHANGES if translation is None else translation.changes(self.extra_args.get("model_options"))

    def with_unconditional(self, x: Tensor, sigma: Sigma) -> tuple[Tensor, Tensor]:
        """Return the prediction and the unconditional one. Raises SamplerOptionError if the model's guider has none."""
        seen: list[Tensor] = []

        def note(arguments: Mapping[str, Any]) -> Tensor:
            seen.append(arguments["uncond_denoised"])
            denoised: Tensor = arguments["denoised"]
            return denoised

        options = set_model_options_post_cfg_function(
            dict(self.extra_args.get("model_options") or {}), note, disable_cfg1_optimization=True
        )
        denoised = self(x, sigma, {"model_options": options})
        if not seen:
            raise SamplerOptionError("this sampler needs the unconditional prediction, but its guider makes none")
        return denoised, seen[-1]


def comfy_sampler(sampler: native.Sampler) -> Any:
    """Return one of Sumi's samplers in packs' form."""
    if isinstance(sampler, NativeSampler):
        return sampler.sampler
    inpaint = {"random": True} if getattr(sampler, "renews_masked_noise", False) else {}
    return KSAMPLER(in_k_form(sampler, _name_of(sampler)), {}, inpaint)


def native_sampler(sampler: Any) -> native.Sampler:
    """Return a pack's sampler as one of Sumi's. A sampler that the pack got from Sumi is returned unchanged."""
    function = getattr(sampler, "sampler_function", None)
    made = getattr(function, "native", None)
    if type(sampler) is KSAMPLER and isinstance(made, FunctionSampler) and not sampler.extra_options:
        renews = bool(sampler.inpaint_options.get("random", False))
        return made if made.renews_masked_noise == renews else dataclasses.replace(made, renews_masked_noise=renews)
    return NativeSampler(sampler)


def in_k_form(sampler: Any, name: str) -> Callable[..., Tensor]:
    """Return one of Sumi's samplers in k-diffusion's form. It takes ``noise_sampler`` and the sampler's options."""

    def run(
        model: Any,
        x: Tensor,
        sigmas: Tensor,
        extra_args: Mapping[str, Any] | None = None,
        callback: Callable[[dict[str, Any]], Any] | None = None,
        disable: bool | None = None,
        **options: Any,
    ) -> Tensor:
        extra_args = extra_args or {}
        sigmas = sigmas.cpu().float()

        def report(done: StepDone) -> None:
            if callback is not None:
                level = torch.tensor(done.sigma)
                step = {"x": done.x, "i": done.step - 1, "sigma": level, "sigma_hat": level, "denoised": done.denoised}
                callback(step)

        chosen = _with_options(sampler, name, options)
        denoiser = Observed(KDenoiser(model, extra_args), sigmas, _each_step(report))
        return chosen.run(denoiser, x, sigmas, extra_args.get("seed") or 0, _levels_of(model, sigmas))

    made: Any = run
    made.native = sampler
    run.__name__ = run.__qualname__ = f"sample_{name}"
    run.__doc__ = sampler.function.__doc__
    return run


def on_step_of(callback: Callback | None) -> OnStep | None:
    """Convert a callback in ComfyUI's form to an observer in Sumi's form."""
    if callback is None:
        return None
    observed: OnStep | None = getattr(callback, "on_step", None)  # made by callback_of
    if observed is not None:
        return observed
    given = callback
    return _each_step(lambda done: given(done.step - 1, done.denoised, done.x, done.steps))


def callback_of(on_step: OnStep | None) -> Callback | None:
    """Convert an observer in Sumi's form to a callback in ComfyUI's form."""
    if on_step is None:
        return None

    def callback(step: int, denoised: Tensor, x: Tensor, steps: int) -> None:
        on_step(StepDone(step + 1, steps, denoised, x, 0.0))

    made: Any = callback
    made.on_step = on_step
    return callback


def _each_step(report: OnStep) -> OnStep:
    """Call ``report`` once per step, and for every prediction of the last step, so that the final one is reported."""
    return once_a_step(report, lambda done: report(done) if done.step == done.steps else None)


def _ignore(state: Any) -> None:
    """The callback of a sampling function that already has an observer."""


def _name_of(sampler: Any) -> str:
    return str(getattr(getattr(sampler, "function", None), "__name__", type(sampler).__name__))


def _with_options(sampler: FunctionSampler, name: str, options: dict[str, Any]) -> FunctionSampler:
    """``sampler`` with options as k-diffusion's functions take them. Raises SamplerOptionError."""
    known = inspect.signature(sampler.function).parameters
    options = dict(options)
    noise_sampler = options.pop("noise_sampler", None)
    if noise_sampler is not None and "noise" in known:
        options["noise"] = lambda sigma, sigma_next: noise_sampler(torch.as_tensor(sigma), torch.as_tensor(sigma_next))
        sampler = dataclasses.replace(sampler, noise=None)
    if not options.get("s_churn", 0.0) and "s_churn" not in known:
        # Some packs pass them without churn, where they have no effect.
        for unused in {"s_churn", "s_tmin", "s_tmax", "s_noise"} - known.keys():
            options.pop(unused, None)
    unknown = sorted(options.keys() - known.keys())
    if unknown:
        raise SamplerOptionError(
            f"the sampler {name} has no option {', '.join(unknown)}; it has "
            f"{', '.join(sorted(known.keys() - {'model', 'x', 'sigmas', 'noise'})) or 'none'}"
        )
    return dataclasses.replace(sampler, options={**sampler.options, **options})


def _levels_of(model: Any, sigmas: Tensor) -> Any:
    """Return the model's noise levels; for a model of a pack's own class, the levels of the run."""
    inner = getattr(getattr(model, "inner_model", None), "inner_model", None)
    sampling = getattr(inner, "model_sampling", None)
    return NoiseLevels(sigmas[sigmas > 0].flip(0)) if sampling is None else ObjectLevels(sampling)
