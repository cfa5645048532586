"""Samplers in k-diffusion's form, ``f(model, x, sigmas, extra_args, callback, disable, …)``, and in Sumi's, joined.

``model(x, sigma, **extra_args)`` takes noise levels [B]. ``callback`` is told a dict of ``i``, ``x``, ``sigma``,
``sigma_hat`` and ``denoised`` after each step.
"""

from __future__ import annotations

import dataclasses
import inspect
import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from graph.errors import SumiError
from nodes.compat.comfy.model_patcher import set_model_options_post_cfg_function
from nodes.compat.comfy.model_sampling import ObjectLevels
from nodes.models.noise_levels import NoiseLevels
from nodes.sampling.denoiser import Observed, Sigma
from nodes.sampling.noise import SEEDS, initial_noise
from nodes.sampling.sampler import Sampler as NativeSampler


class SamplerOptionError(SumiError):
    """A sampler was given an option that it does not have; names both."""


class Sampler:
    """What ``CFGGuider.sample`` runs: derive from it and write ``sample``."""

    def sample(self, *args: Any, **kwargs: Any) -> Any:
        """See :meth:`KSAMPLER.sample`."""
        raise NotImplementedError(f"{type(self).__qualname__} has no method 'sample'")

    def max_denoise(self, model_wrap: Any, sigmas: Tensor) -> bool:
        """Whether a run starts from pure noise."""
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
        callback: Callable[[int, Tensor, Tensor, int], Any] | None,
        noise: Tensor,
        latent_image: Tensor,
        denoise_mask: Tensor | None = None,
        disable_pbar: bool = False,
    ) -> Tensor:
        """``latent_image``, in the network's scale, noised and brought to the last of ``sigmas``."""
        model = KSamplerX0Inpaint(model_wrap, sigmas)
        model.latent_image = latent_image
        model.noise = noise
        if self.inpaint_options.get("random", False):
            seed = ((extra_args.get("seed") or 0) + 1) % SEEDS
            model.noise = initial_noise(noise.shape, seed).to(noise)
        sampling = model_wrap.inner_model.model_sampling
        x = sampling.noise_scaling(sigmas[0], noise, latent_image, self.max_denoise(model_wrap, sigmas))
        steps = len(sigmas) - 1

        def on_step(state: Mapping[str, Any]) -> None:
            if callback is not None:
                callback(state["i"], state["denoised"], state["x"], steps)

        extra_args = {**extra_args, "denoise_mask": denoise_mask}
        samples = self.sampler_function(
            model, x, sigmas, extra_args=extra_args, callback=on_step, disable=disable_pbar, **self.extra_options
        )
        finished: Tensor = sampling.inverse_noise_scaling(sigmas[-1], samples)
        return finished


class KSamplerX0Inpaint:
    """A guider that sees, outside a mask, the latent at the noise level of the call, and predicts it."""

    latent_image: Tensor
    noise: Tensor

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
        """The clean latent; ``denoise_mask`` [B, C, h, w] is 1 where it is made anew."""
        options = model_options or {}
        if denoise_mask is not None:
            if "denoise_mask_function" in options:
                more = {"model": self.inner_model, "sigmas": self.sigmas}
                denoise_mask = options["denoise_mask_function"](sigma, denoise_mask, extra_options=more)
            kept = self.inner_model.inner_model.scale_latent_inpaint(
                x=x, sigma=sigma, noise=self.noise, latent_image=self.latent_image
            )
            x = x * denoise_mask + kept * (1 - denoise_mask)
        denoised: Tensor = self.inner_model(x, sigma, model_options=options, seed=seed)
        if denoise_mask is not None:
            denoised = denoised * denoise_mask + self.latent_image * (1 - denoise_mask)
        return denoised


class KDenoiser:
    """A model in k-diffusion's form as Sumi's samplers call it. ``x`` and ``sigma`` are those of the last call."""

    def __init__(self, model: Any, extra_args: Mapping[str, Any]):
        self._model = model
        self._extra_args = dict(extra_args)
        self.x: Tensor
        self.sigma: Tensor

    def __call__(self, x: Tensor, sigma: Sigma) -> Tensor:
        return self._call(x, sigma, self._extra_args)

    def with_unconditional(self, x: Tensor, sigma: Sigma) -> tuple[Tensor, Tensor]:
        seen: list[Tensor] = []

        def note(arguments: Mapping[str, Any]) -> Tensor:
            seen.append(arguments["uncond_denoised"])
            denoised: Tensor = arguments["denoised"]
            return denoised

        options = set_model_options_post_cfg_function(
            dict(self._extra_args.get("model_options") or {}), note, disable_cfg1_optimization=True
        )
        denoised = self._call(x, sigma, {**self._extra_args, "model_options": options})
        if not seen:
            raise SamplerOptionError(
                "this sampler needs the unconditional prediction, and the guider that it runs with gives none"
            )
        return denoised, seen[-1]

    def _call(self, x: Tensor, sigma: Sigma, extra_args: Mapping[str, Any]) -> Tensor:
        self.x, self.sigma = x, x.new_full((len(x),), float(sigma))
        denoised: Tensor = self._model(x, self.sigma, **extra_args)
        return denoised


def in_k_form(sampler: NativeSampler, name: str) -> Callable[..., Tensor]:
    """One of Sumi's samplers in k-diffusion's form. ``noise_sampler`` and the sampler's own options may be given."""

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
        denoiser = KDenoiser(model, extra_args)

        told = 0

        def on_step(step: int, steps: int, denoised: Tensor) -> None:
            nonlocal told
            # Once a step; in the last one each time, so that what was told last is the last prediction.
            if callback is not None and (step > told or step == steps):
                told = step
                level = denoiser.sigma[0]
                state = {"x": denoiser.x, "i": step - 1, "sigma": level, "sigma_hat": level, "denoised": denoised}
                callback(state)

        chosen = _with_options(sampler, name, options)
        levels = _levels_of(model, sigmas)
        seed = extra_args.get("seed") or 0
        return chosen.run(Observed(denoiser, sigmas, on_step), x, sigmas, seed, levels)

    run.__name__ = run.__qualname__ = f"sample_{name}"
    run.__doc__ = sampler.function.__doc__
    return run


def _with_options(sampler: NativeSampler, name: str, options: dict[str, Any]) -> NativeSampler:
    """``sampler`` with options as k-diffusion's functions take them. Raises SamplerOptionError."""
    known = inspect.signature(sampler.function).parameters
    options = dict(options)
    noise_sampler = options.pop("noise_sampler", None)
    if noise_sampler is not None and "noise" in known:
        options["noise"] = lambda sigma, sigma_next: noise_sampler(torch.as_tensor(sigma), torch.as_tensor(sigma_next))
        sampler = dataclasses.replace(sampler, noise=None)
    if not options.get("s_churn", 0.0) and "s_churn" not in known:
        # Without churn these mean nothing; some packs give them all the same.
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
    """The model's noise levels; those of the run for a model that a pack made up."""
    inner = getattr(getattr(model, "inner_model", None), "inner_model", None)
    sampling = getattr(inner, "model_sampling", None)
    return NoiseLevels(sigmas[sigmas > 0].flip(0)) if sampling is None else ObjectLevels(sampling)
