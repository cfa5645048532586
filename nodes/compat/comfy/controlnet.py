"""``comfy.controlnet``: control networks as packs load, copy and apply them, and controls of packs' own.

A control is set up with a picture and a strength, and put into a CONDITIONING's entry as ``control``. Sumi's samplers
call it there: :class:`nodes.sampling.condition_inputs.ControlSource`.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nodes.compat.comfy._pack_control import PackControl, RunningPackControl
from nodes.compat.comfy._translate.controls import SeenControl, dict_of_control
from nodes.compat.comfy.model_base import base_model
from nodes.compat.missing.errors import missing_part
from nodes.control.apply import AppliedControl
from nodes.control.handle import ControlHandle
from nodes.control.handle import ControlNet as ControlNetHandle
from nodes.control.loading import control_in, difference_in
from nodes.models.checkpoint import Checkpoint
from nodes.models.handle import Model
from nodes.unet.control import Control


class StrengthType(Enum):
    """How the strength applies: equally to all residuals, or less to residuals far from the middle."""

    CONSTANT = 1
    LINEAR_UP = 2


class ControlBase:
    """A control. Packs derive from it and write ``get_control`` and ``copy``."""

    def __init__(self) -> None:
        self.cond_hint_original: Tensor | None = None
        self.cond_hint: Tensor | None = None
        self.strength = 1.0
        self.strength_type = StrengthType.CONSTANT
        self.timestep_percent_range: tuple[float, float] = (0.0, 1.0)
        self.timestep_range: tuple[float, float] | None = None
        self.global_average_pooling = False
        self.compression_ratio = 8
        self.upscale_algorithm = "nearest-exact"
        self.latent_format: Any = None
        self.vae: Any = None
        self.extra_args: dict[str, Any] = {}
        self.extra_conds: list[str] = []
        self.extra_concat_orig: list[Tensor] = []
        self.extra_concat: Any = None
        self.extra_hooks: Any = None
        self.concat_mask = False
        self.model_sampling_current: Any = None
        self.preprocess_image: Callable[[Tensor], Tensor] = _unchanged
        self.previous_controlnet: Any = None

    def set_cond_hint(
        self,
        cond_hint: Tensor,
        strength: float = 1.0,
        timestep_percent_range: tuple[float, float] = (0.0, 1.0),
        vae: Any = None,
        extra_concat: Sequence[Tensor] = (),
    ) -> Any:
        """Steer by a picture [B, C, H, W], 0..1, between two percents (0..1) of the run. Returns the control."""
        self.cond_hint_original = cond_hint
        self.strength = strength
        self.timestep_percent_range = (float(timestep_percent_range[0]), float(timestep_percent_range[1]))
        self.vae = vae
        self.extra_concat_orig = list(extra_concat)
        return self

    def set_previous_controlnet(self, controlnet: Any) -> Any:
        """Add this control's residuals to those of another control. Returns this control."""
        self.previous_controlnet = controlnet
        return self

    def set_extra_arg(self, argument: str, value: Any = None) -> None:
        """Set an argument of the network, such as ``control_type``."""
        self.extra_args[argument] = value

    def copy(self) -> Any:
        """Return a copy with the same settings and no previous control."""
        copied = copy.copy(self)
        copied.extra_args = dict(self.extra_args)
        copied.previous_controlnet = None
        return copied

    def copy_to(self, c: Any) -> None:
        """Copy this control's settings to ``c``."""
        for name in ("cond_hint_original", "strength", "strength_type", "timestep_percent_range", "extra_conds"):
            setattr(c, name, getattr(self, name))
        for name in ("global_average_pooling", "compression_ratio", "upscale_algorithm", "latent_format", "vae"):
            setattr(c, name, getattr(self, name))
        for name in ("extra_concat_orig", "extra_hooks", "concat_mask", "preprocess_image"):
            setattr(c, name, getattr(self, name))
        c.extra_args = dict(self.extra_args)

    def pre_run(self, model: Any, percent_to_timestep_function: Callable[[float], float]) -> None:
        """Begin a run of ``model`` (:class:`comfy.model_base.BaseModel`)."""
        start, end = self.timestep_percent_range
        self.timestep_range = (percent_to_timestep_function(start), percent_to_timestep_function(end))
        self.model_sampling_current = model.model_sampling
        if self.previous_controlnet is not None and hasattr(self.previous_controlnet, "pre_run"):
            self.previous_controlnet.pre_run(model, percent_to_timestep_function)

    def cleanup(self) -> None:
        """End a run."""
        self.cond_hint = self.timestep_range = self.extra_concat = None
        if self.previous_controlnet is not None and hasattr(self.previous_controlnet, "cleanup"):
            self.previous_controlnet.cleanup()

    def get_models(self) -> list[Any]:
        """Return the models that a run has to load with the control: the previous control's."""
        previous = self.previous_controlnet
        return previous.get_models() if hasattr(previous, "get_models") else []

    def get_extra_hooks(self) -> list[Any]:
        """Return the hooks of this control and of the previous ones."""
        own = [] if self.extra_hooks is None else [self.extra_hooks]
        previous = self.previous_controlnet
        return own + (previous.get_extra_hooks() if hasattr(previous, "get_extra_hooks") else [])

    def inference_memory_requirements(self, dtype: torch.dtype) -> int:
        """Return 0: the memory of a call is unknown."""
        return 0

    def get_control(
        self, x_noisy: Tensor, t: Tensor, cond: Mapping[str, Any], batched_number: int, transformer_options: Any = None
    ) -> Any:
        """Return the residuals for noisy latents [N, C, h, w] at the noise levels ``t`` [N]; see :meth:`control_merge`.

        ``cond`` has ``c_crossattn`` and ``y``; ``batched_number`` conditions are in the batch.
        """
        raise NotImplementedError(f"{type(self).__qualname__} has no method 'get_control'")

    def control_merge(
        self, control: Mapping[str, Sequence[Tensor | None]], control_prev: Any, output_dtype: torch.dtype | None
    ) -> dict[str, list[Any]]:
        """Return residuals by ``input``, ``middle`` and ``output``, times the strength, plus the previous control's."""
        merged: dict[str, list[Any]] = {}
        for place in ("input", "middle", "output"):
            residuals = list(control.get(place, ()))
            made = [
                self._weighted(residual, number, len(residuals), place) for number, residual in enumerate(residuals)
            ]
            if output_dtype is not None:
                made = [residual if residual is None else residual.to(output_dtype) for residual in made]
            before = list((control_prev or {}).get(place, ()))
            made += [None] * (len(before) - len(made))
            for number, earlier in enumerate(before):
                if earlier is not None:
                    made[number] = earlier if made[number] is None else made[number] + earlier.to(made[number])
            merged[place] = made
        return merged

    def _weighted(self, residual: Tensor | None, number: int, count: int, place: str) -> Tensor | None:
        if residual is None:
            return None
        if self.global_average_pooling:
            residual = residual.mean(dim=(2, 3), keepdim=True).expand(-1, -1, *residual.shape[2:])
        linear = self.strength_type is StrengthType.LINEAR_UP and place == "output"
        return residual * (self.strength ** float(count - number) if linear else self.strength)

    # -- for Sumi's samplers -------------------------------------------------------------------------------

    def for_run(self, model: Model, height: int, width: int) -> Any:
        """Return the control in a run; see :class:`nodes.sampling.condition_inputs.ControlSource`."""
        return RunningPackControl(self, model, base_model(model))


class ControlModel:
    """The network of a control, as packs call it. It holds no weights, and stands for one of Sumi's handles."""

    def __init__(self, handle: ControlHandle):
        self.handle = handle
        self._steering: Any = None

    @property
    def dtype(self) -> torch.dtype:
        """The precision of its inputs: float32. The network converts them."""
        return torch.float32

    def clone(self) -> ControlModel:
        """Return the same object: nothing is changed on it."""
        return self

    def patch_model(self, device_to: torch.device | None = None, **_: Any) -> ControlModel:
        """Return the same object; the network is loaded when it is called."""
        return self

    def __call__(
        self, x: Tensor, hint: Tensor, timesteps: Tensor, context: Tensor, y: Tensor | None = None, **_: Any
    ) -> dict[str, list[Tensor | None]]:
        """Return the residuals for the network's input [N, C, h, w] and a picture [N, C, H, W] for each item."""
        handle: Any = self.handle
        if not isinstance(handle, ControlNetHandle):
            kind = type(handle).__name__
            raise missing_part(f"the network of a {kind} without its model", "call get_control of the control instead")
        if self._steering is None:
            self._steering = handle.steering()
        steering = self._steering
        made = steering.residuals(x, steering.hint(hint), 1, timesteps, context, y)
        return {place: residuals for place, residuals in dict_of_control(made).items() if residuals}


class ControlNet(ControlBase):
    """One of Sumi's control networks. ``control_model`` is its network."""

    def __init__(
        self,
        control_model: Any = None,
        global_average_pooling: bool = False,
        compression_ratio: int = 8,
        latent_format: Any = None,
        load_device: Any = None,
        manual_cast_dtype: torch.dtype | None = None,
        extra_conds: Sequence[str] = ("y",),
        strength_type: StrengthType = StrengthType.CONSTANT,
        concat_mask: bool = False,
        preprocess_image: Callable[[Tensor], Tensor] | None = None,
        **_: Any,
    ):
        super().__init__()
        self.control_model = ControlModel(control_model) if isinstance(control_model, ControlHandle) else control_model
        self.control_model_wrapped = self.control_model
        self.global_average_pooling = global_average_pooling
        self.compression_ratio = compression_ratio
        self.latent_format = latent_format
        self.load_device = load_device
        self.manual_cast_dtype = manual_cast_dtype
        self.extra_conds = list(extra_conds)
        self.strength_type = strength_type
        self.concat_mask = concat_mask
        self.preprocess_image = preprocess_image or _unchanged
        self._model: Model | None = None
        self._running: dict[tuple[int, int], SeenControl] = {}

    @property
    def network(self) -> Any:
        """The network: a :class:`ControlModel`, or a pack's own."""
        return self.control_model

    @property
    def handle(self) -> ControlHandle:
        """Sumi's handle with the chosen type of control. Raises TypeError for a pack's own network."""
        return self._handle(self.global_average_pooling)

    def _handle(self, pools: bool) -> ControlHandle:
        network = self.network
        if not isinstance(network, ControlModel):
            raise TypeError(
                f"{type(self).__qualname__} has a {type(network).__qualname__} as its network; Sumi runs control "
                "networks that comfy.controlnet.load_controlnet opened, and controls with their own get_control"
            )
        handle: Any = network.handle
        changed: dict[str, Any] = {"pools": pools}
        if self.extra_args.get("control_type"):
            changed["types"] = tuple(self.extra_args["control_type"])
        known = {field.name for field in dataclasses.fields(handle)}
        made: ControlHandle = dataclasses.replace(handle, **{n: value for n, value in changed.items() if n in known})
        return made

    def for_run(self, model: Model, height: int, width: int) -> Any:
        """Return the network in a run. Raises ControlError if it does not fit the model."""
        if getattr(self.get_control, "__func__", None) is not ControlNet.get_control:  # overridden by a pack
            return super().for_run(model, height, width)
        return self._applied(self.handle, self.strength, self.previous_controlnet).for_run(model, height, width)

    def _applied(self, handle: ControlHandle, strength: float, previous: Any) -> AppliedControl:
        if self.cond_hint_original is None:
            raise ValueError(f"{type(self).__qualname__} has no picture; call set_cond_hint first")
        start, end = self.timestep_percent_range
        mask = self.extra_concat_orig[0] if self.extra_concat_orig else None
        return AppliedControl(handle, self.cond_hint_original, strength, start, end, mask, previous)

    def pre_run(self, model: Any, percent_to_timestep_function: Callable[[float], float]) -> None:
        """Begin a run of ``model`` (:class:`comfy.model_base.BaseModel`)."""
        super().pre_run(model, percent_to_timestep_function)
        self._model = model.translation.predictor.model
        self._running = {}

    def cleanup(self) -> None:
        """End a run."""
        super().cleanup()
        self._running = {}

    def get_control(
        self, x_noisy: Tensor, t: Tensor, cond: Mapping[str, Any], batched_number: int, transformer_options: Any = None
    ) -> Any:
        """Return the residuals by ``input``, ``middle`` and ``output``, added to the previous control's."""
        previous = self.previous_controlnet
        before = None
        if previous is not None:
            before = previous.get_control(x_noisy, t, cond, batched_number, transformer_options)
        if self._model is None:
            raise RuntimeError(f"{type(self).__qualname__} is not in a run; call pre_run first")
        height, width = x_noisy.shape[-2:]
        if (height, width) not in self._running:
            running = self._applied(self._handle(pools=False), 1.0, None).for_run(self._model, height, width)
            self._running[height, width] = SeenControl(running, self._model.sampling.levels())
        seen = self._running[height, width]
        made = seen.get_control(x_noisy, t, cond, batched_number, transformer_options)
        if made is None:
            return before
        if isinstance(before, Control):
            before = dict_of_control(before)
        return self.control_merge(dict_of_control(made), before, None)


class ControlLora(ControlNet):
    """A control network that shares the weights of the model. ``control_weights`` is its network."""

    def __init__(self, control_weights: Any = None, global_average_pooling: bool = False, **_: Any):
        super().__init__(control_weights, global_average_pooling)
        self.control_weights = self.control_model


class T2IAdapter(ControlNet):
    """A T2I-Adapter (arXiv:2302.08453). ``t2i_model`` is its network."""

    def __init__(
        self,
        t2i_model: Any = None,
        channels_in: int = 3,
        compression_ratio: int = 8,
        upscale_algorithm: str = "nearest-exact",
        device: Any = None,
        **_: Any,
    ):
        super().__init__(t2i_model, compression_ratio=compression_ratio, load_device=device)
        self.t2i_model = self.control_model
        self.channels_in = channels_in
        self.upscale_algorithm = upscale_algorithm
        self.device = device
        self.control_input: Any = None


def control_of(handle: ControlHandle) -> ControlNet:
    """Return a handle in the form that packs use."""
    match type(handle).__name__:
        case "ControlLora":
            return ControlLora(handle)
        case "T2IAdapter":
            return T2IAdapter(handle, handle.channels)
        case _:
            return ControlNet(handle, bool(getattr(handle, "pools", False)))


def handle_of(control: Any) -> Any:
    """Return a pack's CONTROL_NET in the form that Sumi's nodes take."""
    is_own = getattr(control.get_control, "__func__", None) is not ControlNet.get_control
    if isinstance(control, ControlNet) and isinstance(control.network, ControlModel) and not is_own:
        return control.handle
    return PackControl(control)


def seen_control(applied: Any) -> Any:
    """Return the ``control`` of a CONDITIONING's entry in the form that packs use."""
    if not isinstance(applied, AppliedControl):
        return applied
    control = control_of(applied.control)
    control.set_cond_hint(applied.picture, applied.strength, (applied.start, applied.end))
    control.extra_concat_orig = [] if applied.mask is None else [applied.mask]
    return control.set_previous_controlnet(seen_control(applied.previous))


def load_controlnet(ckpt_path: str, model: Any = None, model_options: Any = None) -> ControlNet:
    """Return the control network of a file; ``model`` is needed for one that is stored as a difference.

    Raises CheckpointError for a file that holds none.
    """
    checkpoint = Checkpoint.open(Path(ckpt_path))
    return control_of(control_in(checkpoint) if model is None else difference_in(checkpoint, model.handle))


def broadcast_image_to(tensor: Tensor, target_batch_size: int, batched_number: int) -> Tensor:
    """Repeat or cut ``tensor`` [B, …] to a batch of ``target_batch_size``, equally for each condition in the batch."""
    items = target_batch_size // batched_number
    if len(tensor) == 1:
        return tensor
    one = tensor.repeat(-(-items // len(tensor)), *(1,) * (tensor.ndim - 1))[:items]
    return one.repeat(batched_number, *(1,) * (tensor.ndim - 1))


def _unchanged(picture: Tensor) -> Tensor:
    return picture
