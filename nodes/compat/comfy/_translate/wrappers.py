"""Wrappers and callbacks of packs as functions around Sumi's stages, and runs as packs call them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from torch import Tensor

from nodes.compat.comfy._k_sampler import (
    KDenoiser,
    callback_of,
    comfy_sampler,
    guider_of,
    native_sampler,
    on_step_of,
)
from nodes.compat.comfy._translate.stages import Internal, PackFunction, Proceed, sigma_of, translation_of
from nodes.compat.comfy.patcher_extension import CallbacksMP, WrapperExecutor, WrappersMP
from nodes.models.changes import NetworkCall, RawCall, Run, SamplerCall, Step
from nodes.sampling.prediction import per_item


@dataclass(frozen=True, eq=False)
class Wrapper(PackFunction):
    """A wrapper of one stage, kept under ``key``; ``of_options``: in the transformer options, not with the model."""

    key: Any = None
    of_options: bool = False
    kind: ClassVar[str]

    def _execute(self, go_on: Callable[..., Any], class_obj: Any, *arguments: Any, **named: Any) -> Any:
        return WrapperExecutor.new_class_executor(go_on, class_obj, [self.original]).execute(*arguments, **named)


class OuterSample(Wrapper):
    """Wraps a run; the executor's object is the guider."""

    kind = WrappersMP.OUTER_SAMPLE

    def __call__(self, proceed: Proceed, run: Run) -> Tensor:
        pack: Any = run.guider
        samples: Tensor = self._execute(outer_go_on(proceed, run), pack.guider, *outer_arguments(run))
        return samples


class SamplerSample(Wrapper):
    """Wraps the sampler; the executor's object is the sampler."""

    kind = WrappersMP.SAMPLER_SAMPLE

    def __call__(self, proceed: Proceed, call: SamplerCall) -> Tensor:
        native: Any = call.denoiser
        guider, translation = guider_of(native), translation_of(native)
        extra_args = {"model_options": translation.options(call.changes), "seed": call.seed}

        def go_on(
            model_wrap: Any,
            sigmas: Tensor,
            extra_args: Mapping[str, Any],
            callback: Any,
            noise: Tensor,
            latent_image: Tensor | None = None,
            denoise_mask: Tensor | None = None,
            disable_pbar: bool = False,
        ) -> Any:
            changes = translation.changes(extra_args.get("model_options"))
            own = model_wrap is guider
            denoiser: Any = native.with_changes(changes) if own else KDenoiser(model_wrap, extra_args)
            return proceed(
                dataclasses.replace(
                    call,
                    denoiser=denoiser,
                    sigmas=sigmas.cpu().float(),
                    on_step=on_step_of(callback),
                    noise=noise,
                    latent=call.latent if latent_image is None else latent_image,
                    mask=denoise_mask,
                    seed=call.seed if extra_args.get("seed") is None else extra_args["seed"],
                    changes=changes,
                )
            )

        sigmas = call.sigmas.to(call.latent.device)
        callback = callback_of(call.on_step)
        samples: Tensor = self._execute(
            go_on,
            comfy_sampler(call.sampler),
            guider,
            sigmas,
            extra_args,
            callback,
            call.noise,
            call.latent,
            call.mask,
            True,
        )
        return samples


class PredictNoise(Wrapper):
    """Wraps a guided prediction; the executor's object is the guider."""

    kind = WrappersMP.PREDICT_NOISE

    def __call__(self, proceed: Proceed, step: Step) -> Tensor:
        translation, denoiser = translation_of(step), step.denoiser

        def go_on(x: Tensor, timestep: Tensor, model_options: Any = None, seed: int | None = None) -> Any:
            changes = translation.changes(model_options)
            return proceed(dataclasses.replace(step, x=x, sigma=sigma_of(timestep), changes=changes))

        options = translation.options(step.changes)
        denoised: Tensor = self._execute(
            go_on, guider_of(denoiser), step.x, per_item(step.sigma, step.x), options, translation.seed
        )
        return denoised


class CalcCondBatch(Wrapper):
    """Wraps the predictions of the sides."""

    kind = WrappersMP.CALC_COND_BATCH

    def __call__(self, proceed: Proceed, step: Step) -> Mapping[str, Tensor]:
        translation = translation_of(step)

        def go_on(model: Any, conds: Sequence[Any], x_in: Tensor, timestep: Tensor, model_options: Any) -> list[Tensor]:
            inner = translation.step(dict(zip(step.conditions, conds, strict=True)), x_in, timestep, model_options)
            return list(proceed(inner).values())

        sides = [translation.dicts(conditions, step.x) or None for conditions in step.conditions.values()]
        levels, options = per_item(step.sigma, step.x), translation.options(step.changes)
        predicted = self._execute(go_on, None, translation.model, sides, step.x, levels, options)
        return dict(zip(step.conditions, predicted, strict=True))


class ApplyModel(Wrapper):
    """Wraps the network and the conversion of its output to denoised latents; the executor's object is the model."""

    kind = WrappersMP.APPLY_MODEL

    def __call__(self, proceed: Proceed, call: NetworkCall) -> Tensor:
        translation = translation_of(call)

        def go_on(
            x: Tensor,
            t: Tensor,
            c_concat: Any = None,
            c_crossattn: Any = None,
            control: Any = None,
            transformer_options: Any = None,
            **more: Any,
        ) -> Any:
            inputs = {"c_concat": c_concat, "c_crossattn": c_crossattn, "control": control, **more}
            return proceed(translation.call(x, t, inputs, transformer_options))

        named = translation.arguments(call)
        first = [named.pop(name, None) for name in ("c_concat", "c_crossattn", "control", "transformer_options")]
        levels = per_item(call.sigma, call.x)
        denoised: Tensor = self._execute(go_on, translation.model, call.x, levels, *first, **named)
        return denoised


class DiffusionModelCall(Wrapper):
    """Wraps the network itself; the executor's object is the network."""

    kind = WrappersMP.DIFFUSION_MODEL

    def __call__(self, proceed: Proceed, call: RawCall) -> Tensor:
        network = call.predictor.network.module

        def go_on(
            x: Tensor,
            timesteps: Tensor,
            context: Tensor | None = None,
            y: Tensor | None = None,
            control: Any = None,
            transformer_options: Mapping[str, Any] | None = None,
            **_: Any,
        ) -> Any:
            return proceed(
                dataclasses.replace(
                    call,
                    x=x,
                    timesteps=timesteps,
                    text=context,
                    vector=y,
                    control=control,
                    options=transformer_options or {},
                )
            )

        output: Tensor = self._execute(
            go_on, network, call.x, call.timesteps, call.text, call.vector, call.control, dict(call.options)
        )
        return output


WRAPPERS: Final[Mapping[str, tuple[str, type[Wrapper]]]] = {
    WrappersMP.OUTER_SAMPLE: ("around_run", OuterSample),
    WrappersMP.SAMPLER_SAMPLE: ("around_sampler", SamplerSample),
    WrappersMP.PREDICT_NOISE: ("around_prediction", PredictNoise),
    WrappersMP.CALC_COND_BATCH: ("around_conditions", CalcCondBatch),
    WrappersMP.APPLY_MODEL: ("around_denoise", ApplyModel),
    WrappersMP.DIFFUSION_MODEL: ("around_network", DiffusionModelCall),
}
"""Kind of wrapper → field of a model's changes, and the adapter."""


@dataclass(frozen=True, eq=False)
class Callback(PackFunction):
    """A callback that is called with the model at a run's beginning or end."""

    key: Any = None
    of_options: bool = False

    def __call__(self, run: Run) -> None:
        self.original(translation_of(run).model.current_patcher)


CALLBACKS: Final[Mapping[str, str]] = {CallbacksMP.ON_PRE_RUN: "on_start", CallbacksMP.ON_CLEANUP: "on_end"}
"""Kind of callback → field of a model's changes."""


def outer_arguments(run: Run) -> tuple[Any, ...]:
    """Return a run's arguments in the form of ``CFGGuider.outer_sample``."""
    sampler, callback = comfy_sampler(run.sampler), callback_of(run.on_step)
    sigmas = run.sigmas.to(run.predictor.sigmas.device)
    return run.noise, run.latent, sampler, sigmas, run.mask, callback, True, run.seed


def outer_go_on(proceed: Proceed, run: Run) -> Callable[..., Any]:
    """Return the rest of a run as a function with the arguments of ``CFGGuider.outer_sample``."""

    def go_on(
        noise: Tensor,
        latent_image: Tensor,
        sampler: Any,
        sigmas: Tensor,
        denoise_mask: Tensor | None = None,
        callback: Any = None,
        disable_pbar: bool = False,
        seed: int | None = None,
        **_: Any,
    ) -> Any:
        pack: Any = run.guider
        changes = translation_of(run).changes(pack.guider.model_options)
        added = tuple(function for function in run.changes.around_sampler if isinstance(function, Internal))
        changes = dataclasses.replace(changes, around_sampler=(*added, *changes.around_sampler))
        return proceed(
            dataclasses.replace(
                run,
                model=dataclasses.replace(run.model, changes=changes),
                sampler=native_sampler(sampler),
                noise=noise,
                latent=latent_image,
                sigmas=sigmas.cpu().float(),
                mask=denoise_mask,
                on_step=on_step_of(callback),
                seed=run.seed if seed is None else seed,
            )
        )

    return go_on
