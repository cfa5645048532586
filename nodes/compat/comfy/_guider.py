"""A run of a model that packs have changed, or with a guider or sampler of theirs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from nodes import device as devices
from nodes.compat.comfy._diffusion_model import DiffusionModel
from nodes.compat.comfy._guidance import process_conds, sampling_function
from nodes.compat.comfy._k_sampler import KSAMPLER, in_k_form
from nodes.compat.comfy.patcher_extension import WrapperExecutor, WrappersMP, copy_nested_dicts, get_all_wrappers
from nodes.compat.comfy.sampler_helpers import convert_cond
from nodes.models.handle import Model
from nodes.sampling.inpainting import mask_for
from nodes.sampling.sample import OnStep, check_finite, fitting_latent
from nodes.sampling.sampler import PackSampler
from nodes.sampling.sampler import Sampler as NativeSampler
from nodes.types import Conditioning

Callback = Callable[[int, Tensor, Tensor, int], Any]


class CFGGuider:
    """Classifier-free guidance; packs derive from it and write ``predict_noise``.

    While a run goes on, ``inner_model`` is the model (:class:`comfy.model_base.BaseModel`) and ``conds`` holds the
    sides by the names that ``inner_set_conds`` gave them.
    """

    inner_model: Any
    conds: dict[str, Any]

    def __init__(self, model_patcher: DiffusionModel):
        self.model_patcher = model_patcher
        self.model_options: dict[str, Any] = model_patcher.model_options
        self.original_conds: dict[str, Any] = {}
        self.cfg: float = 1.0

    def set_conds(self, positive: Any, negative: Any) -> None:
        """Guide towards the one CONDITIONING and away from the other."""
        self.inner_set_conds({"positive": positive, "negative": negative})

    def set_cfg(self, cfg: float) -> None:
        """How strongly."""
        self.cfg = cfg

    def inner_set_conds(self, conds: Mapping[str, Any]) -> None:
        """Sides of any names, each a CONDITIONING."""
        for name, side in conds.items():
            self.original_conds[name] = convert_cond(side)

    def __call__(self, *args: Any, **kwargs: Any) -> Tensor:
        """What samplers call: ``(x, sigma, model_options=…, seed=…)``."""
        return self.outer_predict_noise(*args, **kwargs)

    def outer_predict_noise(
        self, x: Tensor, timestep: Tensor, model_options: Mapping[str, Any] | None = None, seed: int | None = None
    ) -> Tensor:
        """:meth:`predict_noise` inside its wrappers."""
        options = model_options or {}
        wrappers = get_all_wrappers(WrappersMP.PREDICT_NOISE, options, is_model_options=True)
        executor = WrapperExecutor.new_class_executor(self.predict_noise, self, wrappers)
        denoised: Tensor = executor.execute(x, timestep, options, seed)
        return denoised

    def predict_noise(
        self, x: Tensor, timestep: Tensor, model_options: Mapping[str, Any] | None = None, seed: int | None = None
    ) -> Tensor:
        """The denoised latent, in spite of the name."""
        positive, negative = self.conds.get("positive"), self.conds.get("negative")
        return sampling_function(
            self.inner_model, x, timestep, negative, positive, self.cfg, model_options=model_options, seed=seed
        )

    @torch.no_grad()
    def sample(
        self,
        noise: Tensor,
        latent_image: Tensor,
        sampler: PackSampler,
        sigmas: Tensor,
        denoise_mask: Tensor | None = None,
        callback: Callback | None = None,
        disable_pbar: bool = False,
        seed: int | None = None,
    ) -> Tensor:
        """``latent_image`` [B, C, h, w], unscaled, noised and denoised; float32 on the CPU.

        Raises ConditionError, SamplingError.
        """
        if len(sigmas) < 2:
            return latent_image
        run_options = self.model_patcher.run_options(self.model_options)
        run_options["transformer_options"] = {
            **run_options["transformer_options"],
            "sample_sigmas": sigmas.to(devices.device()),
        }
        wrappers = get_all_wrappers(WrappersMP.OUTER_SAMPLE, run_options, is_model_options=True)
        executor = WrapperExecutor.new_class_executor(self.outer_sample, self, wrappers)
        kept, self.model_options = self.model_options, run_options
        try:
            samples: Tensor = executor.execute(
                noise, latent_image, sampler, sigmas, denoise_mask, callback, disable_pbar, seed
            )
        finally:
            self.model_options = kept
        return check_finite(samples)

    def outer_sample(
        self,
        noise: Tensor,
        latent_image: Tensor,
        sampler: PackSampler,
        sigmas: Tensor,
        denoise_mask: Tensor | None = None,
        callback: Callback | None = None,
        disable_pbar: bool = False,
        seed: int | None = None,
        **_: Any,
    ) -> Tensor:
        """The run, with the model there for its length."""
        where = devices.device()
        latent = fitting_latent(self.model_patcher.handle, latent_image).to(where, torch.float32)
        noise = noise.to(where, torch.float32)
        if denoise_mask is not None and denoise_mask.ndim == 4:
            denoise_mask = denoise_mask[:, :1]
        mask = None if denoise_mask is None else mask_for(latent, denoise_mask)
        self.inner_model = self.model_patcher.patched_model()
        self.conds = {name: [dict(cond) for cond in side] for name, side in self.original_conds.items()}
        self.model_patcher.pre_run()
        try:
            samples = self.inner_sample(
                noise, latent, where, sampler, sigmas.to(where), mask, callback, disable_pbar, seed
            )
        finally:
            self.model_patcher.cleanup()
            del self.inner_model, self.conds
        return samples.cpu()

    def inner_sample(
        self,
        noise: Tensor,
        latent_image: Tensor,
        device: torch.device,
        sampler: PackSampler,
        sigmas: Tensor,
        denoise_mask: Tensor | None,
        callback: Callback | None,
        disable_pbar: bool,
        seed: int | None,
        **_: Any,
    ) -> Tensor:
        """Conditions made ready, and the sampler run."""
        latent = self.inner_model.process_latent_in(latent_image)
        self.conds = process_conds(
            self.inner_model, noise, self.conds, device, latent_image=latent, denoise_mask=denoise_mask, seed=seed
        )
        options = copy_nested_dicts(self.model_options)
        wrappers = get_all_wrappers(WrappersMP.SAMPLER_SAMPLE, options, is_model_options=True)
        executor = WrapperExecutor.new_class_executor(sampler.sample, sampler, wrappers)
        extra_args = {"model_options": options, "seed": seed}
        samples: Tensor = executor.execute(
            self, sigmas, extra_args, callback, noise, latent, denoise_mask, disable_pbar
        )
        unscaled: Tensor = self.inner_model.process_latent_out(samples.to(torch.float32))
        return unscaled


def sample_with_functions(
    model: Model,
    noise: Tensor,
    sigmas: Tensor,
    *,
    sampler: NativeSampler | PackSampler,
    positive: Conditioning,
    negative: Conditioning,
    scale: float,
    latent: Tensor,
    seed: int,
    noise_mask: Tensor | None = None,
    on_step: OnStep | None = None,
) -> Tensor:
    """:func:`nodes.sampling.sample.sample` for a model that functions of packs change, or a sampler of theirs."""
    guider = CFGGuider(DiffusionModel(model))
    guider.set_conds(positive, negative)
    guider.set_cfg(scale)

    def callback(step: int, denoised: Tensor, x: Tensor, steps: int) -> None:
        if on_step is not None:
            on_step(step + 1, steps, denoised)

    if isinstance(sampler, NativeSampler):
        inpaint_options = {"random": True} if sampler.renews_masked_noise else {}
        sampler = KSAMPLER(in_k_form(sampler, sampler.function.__name__), {}, inpaint_options)
    return guider.sample(noise, latent, sampler, sigmas, noise_mask, callback, seed=seed)
