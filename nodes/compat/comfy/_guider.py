"""Guiders as packs create and subclass them, and runs whose guider packs can access."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Unpack

import torch
from torch import Tensor

from nodes.compat.comfy._guidance import entries_of, sampling_function
from nodes.compat.comfy._k_sampler import (
    Callback,
    NativeSampler,
    callback_of,
    comfy_sampler,
    native_sampler,
    on_step_of,
)
from nodes.compat.comfy._translate.options import changes_of
from nodes.compat.comfy._translate.stages import Internal, PackFunction, sigma_of, translation_of
from nodes.compat.comfy._translate.wrappers import outer_arguments, outer_go_on
from nodes.compat.comfy.model_base import base_model
from nodes.compat.comfy.model_management import throw_exception_if_processing_interrupted
from nodes.compat.comfy.patcher_extension import copy_nested_dicts
from nodes.compat.comfy.sampler_helpers import convert_cond
from nodes.compat.missing.errors import parts_named
from nodes.models.changes import Guider, Run, SamplerCall, Step
from nodes.models.handle import Handle, Model
from nodes.sampling.denoiser import GuidedDenoiser
from nodes.sampling.guiders import CfgGuider
from nodes.sampling.prediction import per_item
from nodes.sampling.sample import RunSettings, sample_guided


class CFGGuider:
    """Classifier-free guidance; packs derive from it and override ``predict_noise``.

    While a run goes on, ``inner_model`` is the model (:class:`comfy.model_base.BaseModel`) and ``conds`` holds the
    sides by the names that ``inner_set_conds`` gave them.
    """

    inner_model: Any
    conds: dict[str, Any]

    def __init__(self, model_patcher: Any):
        self.model_patcher = model_patcher
        self.model_options: dict[str, Any] = model_patcher.model_options
        self.original_conds: dict[str, Any] = {}
        self.cfg: float = 1.0

    def set_conds(self, positive: Any, negative: Any) -> None:
        """Guide towards the positive CONDITIONING and away from the negative one."""
        self.inner_set_conds({"positive": positive, "negative": negative})

    def set_cfg(self, cfg: float) -> None:
        """Set the strength of guidance."""
        self.cfg = cfg

    def inner_set_conds(self, conds: Mapping[str, Any]) -> None:
        """Set sides by any names, each a CONDITIONING."""
        for name, side in conds.items():
            self.original_conds[name] = convert_cond(side)

    def __call__(self, *args: Any, **kwargs: Any) -> Tensor:
        """The call of samplers: ``(x, sigma, model_options=…, seed=…)``."""
        return self.outer_predict_noise(*args, **kwargs)

    def outer_predict_noise(
        self, x: Tensor, timestep: Tensor, model_options: Mapping[str, Any] | None = None, seed: int | None = None
    ) -> Tensor:
        """:meth:`predict_noise` inside its wrappers."""
        changes = self.inner_model.translation.changes(model_options)
        denoised: Tensor = self._denoiser(x, sigma_of(timestep), changes)
        return denoised

    def predict_noise(
        self, x: Tensor, timestep: Tensor, model_options: Mapping[str, Any] | None = None, seed: int | None = None
    ) -> Tensor:
        """Return the denoised latent; the name is ComfyUI's."""
        positive, negative = self.conds.get("positive"), self.conds.get("negative")
        return sampling_function(
            self.inner_model, x, timestep, negative, positive, self.cfg, model_options=model_options, seed=seed
        )

    def sample(
        self,
        noise: Tensor,
        latent_image: Tensor,
        sampler: Any,
        sigmas: Tensor,
        denoise_mask: Tensor | None = None,
        callback: Callback | None = None,
        disable_pbar: bool = False,
        seed: int | None = None,
    ) -> Tensor:
        """``latent_image`` [B, C, h, w], unscaled, noised and denoised; float32 on the CPU.

        Raises ConditionError, SamplingError.
        """
        handle = self.model_patcher.handle
        options = self.model_patcher.run_options(self.model_options)
        changes = changes_of(options)
        around_run = (PackRun(type(self.model_patcher)), *changes.around_run, _OuterSample())
        own = {name: getattr(handle.changes, name) for name in ("parts", "latent_scaling", "compile")}
        kept, self.model_options = self.model_options, options
        try:
            return sample_guided(
                dataclasses.replace(handle, changes=dataclasses.replace(changes, around_run=around_run, **own)),
                PackGuider(self),
                noise,
                sigmas,
                sampler=native_sampler(sampler),
                latent=latent_image,
                seed=seed or 0,
                noise_mask=denoise_mask[:, :1] if denoise_mask is not None and denoise_mask.ndim == 4 else denoise_mask,
                on_step=on_step_of(callback),
            )
        finally:
            self.model_options = kept

    def outer_sample(
        self,
        noise: Tensor,
        latent_image: Tensor,
        sampler: Any,
        sigmas: Tensor,
        denoise_mask: Tensor | None = None,
        callback: Callback | None = None,
        disable_pbar: bool = False,
        seed: int | None = None,
        **_: Any,
    ) -> Tensor:
        """The run, inside its wrappers."""
        device = self.inner_model.device
        return self.inner_sample(
            noise, latent_image, device, sampler, sigmas, denoise_mask, callback, disable_pbar, seed
        )

    def inner_sample(
        self,
        noise: Tensor,
        latent_image: Tensor,
        device: torch.device,
        sampler: Any,
        sigmas: Tensor,
        denoise_mask: Tensor | None,
        callback: Callback | None,
        disable_pbar: bool,
        seed: int | None,
        **_: Any,
    ) -> Tensor:
        """The run: prepare the conditions, then run the sampler."""
        samples: Tensor = self._go_on(noise, latent_image, sampler, sigmas, denoise_mask, callback, disable_pbar, seed)
        return samples

    _denoiser: Any
    _go_on: Callable[..., Tensor]


class _NativeGuider(CFGGuider):
    """One of Sumi's guiders as packs see it."""

    native: Guider

    def predict_noise(
        self, x: Tensor, timestep: Tensor, model_options: Mapping[str, Any] | None = None, seed: int | None = None
    ) -> Tensor:
        """Return the guider's prediction."""
        return self.native.predict(self.inner_model.translation.step(self.conds, x, timestep, model_options))


@dataclass(frozen=True, eq=False)
class PackGuider:
    """A pack's guider, or the pack's view of a guider, as one of Sumi's."""

    guider: CFGGuider

    @property
    def sides(self) -> Mapping[str, Any]:
        """CONDITIONING by the name of its side."""
        return {name: entries_of(side) for name, side in self.guider.original_conds.items()}

    def predict(self, step: Step) -> Tensor:
        """Call the guider's ``predict_noise``."""
        throw_exception_if_processing_interrupted()
        translation = translation_of(step)
        options = translation.options(step.changes)
        return self.guider.predict_noise(step.x, per_item(step.sigma, step.x), options, translation.seed)


class PackRun(Internal):
    """A wrapper around a run that makes the objects for packs. ``patcher`` makes their MODEL from a handle."""

    def __init__(self, patcher: Callable[[Model], Any]):
        self._patcher = patcher

    def __call__(self, proceed: Callable[[Run], Tensor], run: Run) -> Tensor:
        """Run; the guider has ComfyUI's form if any function of a pack can access it."""
        pack = run.guider if isinstance(run.guider, PackGuider) else None
        patcher = self._patcher(run.model) if pack is None else pack.guider.model_patcher
        predictor: Any = run.predictor
        model = base_model(run.model, predictor)
        model.current_patcher = patcher
        model.translation.seed = run.seed
        if pack is None:
            if not _shows_its_guider(run):
                with parts_named():
                    return proceed(run)
            pack = PackGuider(_seen(run.guider, patcher))
            pack.guider.model_options = copy_nested_dicts(model.translation.options(run.changes))
        guider = pack.guider
        guider.inner_model = model
        guider.conds = {name: [dict(cond) for cond in side] for name, side in guider.original_conds.items()}
        changes = dataclasses.replace(run.changes, around_sampler=(_ReadyGuider(), *run.changes.around_sampler))
        made = dataclasses.replace(run, guider=pack, model=dataclasses.replace(run.model, changes=changes))
        try:
            with parts_named():
                return proceed(made)
        finally:
            for name in ("inner_model", "conds", "_denoiser", "_go_on"):
                vars(guider).pop(name, None)


class _ReadyGuider(Internal):
    """A wrapper around the sampler that sets the run's conditions and denoiser on the guider that packs access."""

    def __call__(self, proceed: Callable[[SamplerCall], Tensor], call: SamplerCall) -> Tensor:
        _make_ready(call)
        return proceed(call)


class _OuterSample(Internal):
    """A wrapper around a run of a pack's guider, which calls the guider's own ``outer_sample``."""

    def __call__(self, proceed: Callable[[Run], Tensor], run: Run) -> Tensor:
        pack: Any = run.guider
        guider: CFGGuider = pack.guider
        guider._go_on = outer_go_on(proceed, run)
        return guider.outer_sample(*outer_arguments(run))


@dataclass(frozen=True, eq=False)
class EnteringSampler:
    """A pack's sampler for runs of Sumi's nodes. ``make`` returns it; ``patcher`` is as in :class:`PackRun`."""

    make: Callable[[], Any]
    patcher: Callable[[Model], Any]
    skips_penultimate: bool = False

    def sample(self, call: SamplerCall) -> Tensor:
        """Run with a guider that packs can access."""
        sampler, denoiser = native_sampler(self.make()), call.denoiser
        if isinstance(sampler, NativeSampler) and isinstance(denoiser, GuidedDenoiser):
            if not isinstance(denoiser.guider, PackGuider):
                predictor = denoiser.predictor
                model = base_model(predictor.model, predictor)
                model.current_patcher = self.patcher(predictor.model)
                model.translation.seed = call.seed
                guider = _seen(denoiser.guider, model.current_patcher)
                guider.inner_model = model
                denoiser = GuidedDenoiser(PackGuider(guider), predictor, denoiser.conditions, denoiser.changes)
            call = dataclasses.replace(call, denoiser=denoiser, sampler=sampler)
            _make_ready(call)
        return sampler.sample(call)


@dataclass(frozen=True, eq=False)
class PackGuided(Handle):
    """A pack's guider as the value of a GUIDER socket; see :class:`nodes.sampling.guided_model.GuidedModel`."""

    guider: CFGGuider

    @property
    def model(self) -> Model:
        """Return the model, with its changes."""
        handle: Model = self.guider.model_patcher.handle
        return handle

    def sample(self, noise: Tensor, sigmas: Tensor, **settings: Unpack[RunSettings]) -> Tensor:
        """Return the latent of a run over ``sigmas`` that starts with ``noise``: the guider's own ``sample``."""
        sampler, callback = seen_sampler(settings["sampler"]), callback_of(settings.get("on_step"))
        mask, seed = settings.get("noise_mask"), settings.get("seed", 0)
        with parts_named():
            return self.guider.sample(noise, settings["latent"], sampler, sigmas, mask, callback, True, seed)


def seen_guider(guided: Any, patcher: Callable[[Model], Any]) -> CFGGuider:
    """Return the value of a GUIDER socket as packs see it. ``patcher`` is as in :class:`PackRun`."""
    return guided.guider if isinstance(guided, PackGuided) else _seen(guided.guider, patcher(guided.model))


def seen_sampler(sampler: Any) -> Any:
    """Return the value of a SAMPLER socket as packs see it."""
    return sampler.make() if isinstance(sampler, EnteringSampler) else comfy_sampler(sampler)


def entering_sampler(sampler: Any, patcher: Callable[[Model], Any]) -> Any:
    """Return a pack's sampler as the value of a SAMPLER socket."""
    native = native_sampler(sampler)
    return EnteringSampler(lambda: sampler, patcher) if isinstance(native, NativeSampler) else native


def _make_ready(call: SamplerCall) -> None:
    denoiser: Any = call.denoiser
    dicts = translation_of(denoiser).dicts
    guider = denoiser.guider.guider
    guider.conds = {name: dicts(side, call.latent) for name, side in denoiser.conditions.items()}
    guider._denoiser = denoiser


def _shows_its_guider(run: Run) -> bool:
    changes = run.changes
    wrapped = (*changes.around_run, *changes.around_sampler, *changes.around_prediction)
    pack_functions = any(isinstance(function, PackFunction) for function in (*wrapped, changes.mask))
    return pack_functions or isinstance(run.sampler, (NativeSampler, EnteringSampler))


def _seen(native: Guider, patcher: Any) -> CFGGuider:
    """Return one of Sumi's guiders in the form that packs use."""
    if isinstance(native, CfgGuider):
        guider = CFGGuider(patcher)
        guider.set_cfg(native.scale)
    else:
        guider = made = _NativeGuider(patcher)
        made.native = native
    guider.inner_set_conds(native.sides)
    return guider
