"""Changes of a model that apply during sampling: typed data on its handle.

:class:`ModelChanges` holds functions by the stage at which they run. A stage hands its functions one of the frozen
records below; a function returns a changed copy (``dataclasses.replace``) or a result, and modifies nothing in place.

Functions *around* a stage are called as ``f(proceed, record)``: ``proceed(record)`` runs the remaining functions, then
the stage itself. From the outermost stage to the innermost:

===================== ===================== ==================================================================
field                 record                stage
===================== ===================== ==================================================================
``around_run``        :class:`Run`          the whole run: unscaled latent in, unscaled latent out
``around_sampler``    :class:`SamplerCall`  the sampler: scaled latent in, scaled latent out
``around_prediction`` :class:`Step`         one guided prediction of the guider
``around_sides``      :class:`Step`         the predictions of the sides that guidance joins
``around_conditions`` :class:`Step`         every prediction under conditions, also those that functions request
``around_denoise``    :class:`NetworkCall`  one batch: noisy latents in, denoised latents out
``around_network``    :class:`RawCall`      the network: input in, output out
===================== ===================== ==================================================================
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias, TypeVar

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from nodes.models.noise_levels import NoiseLevels

Record = TypeVar("Record")
Result = TypeVar("Result")

NoiseLevel: TypeAlias = "float | tuple[float, ...]"
"""A noise level of all latents of a batch, or one for each."""
ModelHandle: TypeAlias = Any
"""A ``nodes.models.handle.Model``, which holds the changes."""
Conditions: TypeAlias = Sequence[Any]
"""The conditions of one side: ``nodes.sampling.conditions.Condition``."""
Sides: TypeAlias = Mapping[str, Conditions]
"""Conditions by the name of their side: ``positive``, ``negative``, or other names from the guider."""
Predictions: TypeAlias = "Mapping[str, Tensor]"
"""Denoised latents [B, C, h, w] by side."""
Place: TypeAlias = "tuple[str, int] | tuple[str, int, int]"
"""A block of the U-Net, ``("input", 4)``, or one transformer layer of it, ``("input", 4, 0)``."""


# -- records that the stages pass to functions -------------------------------------------------------------------


class Denoiser(Protocol):
    """``denoiser(x, sigma)`` returns the expected clean latent for ``x`` [B, C, h, w] at noise level ``sigma``."""

    def __call__(self, x: Tensor, sigma: Tensor | float) -> Tensor: ...

    def with_unconditional(self, x: Tensor, sigma: Tensor | float) -> tuple[Tensor, Tensor]:
        """Return the guided and the unconditional prediction, which is computed at every guidance scale."""


class Guider(Protocol):
    """Chooses the sides that a prediction needs, and joins them."""

    @property
    def sides(self) -> Mapping[str, Any]:
        """Return CONDITIONING by the name of its side; the order numbers the sides."""

    def predict(self, step: Step) -> Tensor:
        """Return the guided denoised latent [B, C, h, w]."""


class Sampler(Protocol):
    """A method that turns a noisy latent into a clean one, with its settings."""

    @property
    def skips_penultimate(self) -> bool:
        """Whether schedules for this sampler leave out their last noise level above 0."""

    def sample(self, call: SamplerCall) -> Tensor:
        """Return the latent [B, C, h, w] at the last of ``call.sigmas``, in the network's scale."""


class Network(Protocol):
    """A model's network in one run; see ``nodes.sampling.network``."""

    @property
    def module(self) -> Any:
        """The loaded network."""

    def denoise(self, call: NetworkCall) -> Tensor: ...

    def run(self, call: RawCall) -> Tensor: ...


class Predictor(Protocol):
    """Predicts denoised latents with one model's network; see ``nodes.sampling.prediction``."""

    @property
    def model(self) -> ModelHandle: ...

    @property
    def levels(self) -> NoiseLevels: ...

    @property
    def network(self) -> Network: ...

    @property
    def kept(self) -> dict[str, Any]:
        """State that functions keep during the run, under different names."""

    def predict(self, step: Step) -> Predictions:
        """Return the denoised latents of every side of ``step.conditions``."""


@dataclass(frozen=True)
class StepDone:
    """The progress of a run after a prediction. ``step`` counts from 1; latents are scaled."""

    step: int
    steps: int
    denoised: Tensor
    x: Tensor
    sigma: float


OnStep: TypeAlias = Callable[[StepDone], None]
"""Called after each prediction; may raise to stop the run."""


@dataclass(frozen=True, eq=False)
class Run:
    """One sampling run.

    ``noise`` [B, C, h, w] has unit variance, ``latent`` [B, C, h, w] is unscaled, ``sigmas`` float32 [n + 1] on the
    CPU. ``mask`` [B, H, W] of any size is 1 where the latent is regenerated, None for everywhere.
    """

    model: ModelHandle
    predictor: Predictor
    guider: Guider
    sampler: Sampler
    noise: Tensor
    latent: Tensor
    sigmas: Tensor
    seed: int = 0
    mask: Tensor | None = None
    on_step: OnStep | None = None

    @property
    def changes(self) -> ModelChanges:
        """The model's changes."""
        found: ModelChanges = self.model.changes
        return found


@dataclass(frozen=True, eq=False)
class SamplerCall:
    """The input of a sampler. ``noise``, ``latent`` (scaled) and ``mask`` are [B, C, h, w] on the device.

    ``denoiser`` ignores the mask; :func:`nodes.sampling.sampler.sampled` applies it.
    """

    sampler: Sampler
    denoiser: Denoiser
    noise: Tensor
    latent: Tensor
    mask: Tensor | None
    sigmas: Tensor
    seed: int
    levels: NoiseLevels
    changes: ModelChanges
    on_step: OnStep | None = None


@dataclass(frozen=True, eq=False)
class Step:
    """A noisy latent [B, C, h, w] at a noise level, and the conditions under which it is denoised."""

    x: Tensor
    sigma: NoiseLevel
    conditions: Sides
    predictor: Predictor
    changes: ModelChanges
    denoiser: Denoiser | None = None
    """The run's denoiser, if a sampler requested the prediction."""

    @property
    def level(self) -> float:
        """The noise level; if the items have different levels, the first item's."""
        return self.sigma[0] if isinstance(self.sigma, tuple) else self.sigma

    def predict(
        self, *sides: str, x: Tensor | None = None, changes: ModelChanges | None = None
    ) -> Mapping[str, Tensor]:
        """Return the denoised latents of ``sides`` (default: all), optionally for another ``x`` or other changes."""
        chosen = {name: self.conditions[name] for name in sides} if sides else self.conditions
        step = dataclasses.replace(
            self, x=self.x if x is None else x, conditions=chosen, changes=changes or self.changes
        )
        return self.predictor.predict(step)


@dataclass(frozen=True, eq=False)
class GuidanceStep(Step):
    """A step with predicted sides. Guidance goes from the side ``away`` towards the side ``toward``.

    ``guided`` is the result so far; it is None for functions that run before guidance.
    """

    predictions: Predictions = field(default_factory=dict)
    scale: float = 1.0
    toward: str = "positive"
    away: str = "negative"
    guided: Tensor | None = None

    @classmethod
    def of(
        cls,
        step: Step,
        predictions: Predictions,
        scale: float,
        toward: str = "positive",
        away: str = "negative",
        guided: Tensor | None = None,
    ) -> GuidanceStep:
        """``step`` with the predictions of its sides."""
        common = (step.x, step.sigma, step.conditions, step.predictor, step.changes, step.denoiser)
        return cls(*common, predictions, scale, toward, away, guided)

    @property
    def conditional(self) -> Tensor:
        """The denoised latent of the side that guidance goes towards."""
        return self.predictions[self.toward]

    @property
    def unconditional(self) -> Tensor:
        """The denoised latent of the side that guidance moves away from; zeros if not predicted (at a scale of 1)."""
        found = self.predictions.get(self.away)
        return self.conditional * 0 if found is None else found


@dataclass(frozen=True, eq=False)
class NetworkCall:
    """A batch of noisy latents [N, C, h, w], with an equal part for each of ``sides``.

    ``inputs`` are the joined inputs of the conditions by name. ``options`` are passed to the functions
    inside the network, which adds their place (:mod:`nodes.unet.patches`).
    """

    x: Tensor
    sigma: NoiseLevel
    inputs: Mapping[str, Any]
    sides: tuple[int, ...]
    predictor: Predictor
    changes: ModelChanges
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class RawCall:
    """A call of the network: ``x`` [N, C, h, w] scaled to its noise level, ``timesteps`` [N], ``text`` [N, T, width].

    ``options`` are ``transformer_options``; see :mod:`nodes.unet.patches`.
    """

    x: Tensor
    timesteps: Tensor
    text: Tensor | None
    vector: Tensor | None
    control: Any
    options: Mapping[str, Any]
    predictor: Predictor
    changes: ModelChanges


@dataclass(frozen=True, eq=False)
class MaskStep:
    """An inpainting mask [B, C, h, w] at a noise level of a run over ``sigmas``."""

    mask: Tensor
    sigma: float
    sigmas: Tensor
    levels: NoiseLevels
    denoiser: Denoiser


@dataclass(frozen=True, eq=False)
class ConditionEntry:
    """The data for making a condition's inputs: an entry's ``options``, its side, and the run's scaled latent."""

    side: str
    options: Mapping[str, Any]
    latent: Tensor
    model: ModelHandle
    levels: NoiseLevels


class LatentScaling(Protocol):
    """A replacement for the family's scaling of latents."""

    def scaled_in(self, latent: Tensor) -> Tensor: ...

    def scaled_out(self, latent: Tensor) -> Tensor: ...


# -- the changes -------------------------------------------------------------------------------------------------

Around: TypeAlias = Callable[[Callable[[Record], Result], Record], Result]


@dataclass(frozen=True, eq=False)
class InsideChanges:
    """Functions inside the network; :mod:`nodes.unet.patches` lists their forms.

    ``patches`` by place (``output_block_patch`` …), called in order; ``replacements`` by the replaced part
    (``attn1``, ``attn2``) and place; ``data`` is added to the options that all of them receive.
    """

    patches: Mapping[str, tuple[Callable[..., Any], ...]] = field(default_factory=dict)
    replacements: Mapping[str, Mapping[Place, Callable[..., Any]]] = field(default_factory=dict)
    data: Mapping[str, Any] = field(default_factory=dict)

    def with_patch(self, place: str, function: Callable[..., Any]) -> InsideChanges:
        """Return these functions and one more at a place."""
        patches = {**self.patches, place: (*self.patches.get(place, ()), function)}
        return dataclasses.replace(self, patches=patches)

    def with_replacement(self, part: str, place: Place, function: Callable[..., Any]) -> InsideChanges:
        """Return these functions and a replacement of ``part`` at ``place``."""
        there = {**self.replacements.get(part, {}), place: function}
        return dataclasses.replace(self, replacements={**self.replacements, part: there})

    @cached_property
    def options(self) -> Mapping[str, Any]:
        """Return the functions as ``transformer_options``, the form for a U-Net."""
        found: dict[str, Any] = dict(self.data)
        if self.patches:
            found["patches"] = {place: list(functions) for place, functions in self.patches.items()}
        if self.replacements:
            found["patches_replace"] = {part: dict(by_place) for part, by_place in self.replacements.items()}
        return found

    def __bool__(self) -> bool:
        return bool(self.patches or self.replacements or self.data)


@dataclass(frozen=True, eq=False)
class ModelChanges:
    """All changes of a model except weight patches; the module's table lists the functions around stages."""

    around_run: tuple[Around[Run, Any], ...] = ()
    around_sampler: tuple[Around[SamplerCall, Any], ...] = ()
    around_prediction: tuple[Around[Step, Any], ...] = ()
    around_sides: tuple[Around[Step, Any], ...] = ()
    around_conditions: tuple[Around[Step, Any], ...] = ()
    before_guidance: tuple[Callable[[GuidanceStep], Any], ...] = ()
    """Functions that return changed predictions by side."""
    guidance: Callable[[GuidanceStep], Any] | None = None
    """Function that joins the predictions instead of the guider."""
    after_guidance: tuple[Callable[[GuidanceStep], Any], ...] = ()
    """Functions that return the changed guided latent."""
    around_denoise: tuple[Around[NetworkCall, Any], ...] = ()
    around_network: tuple[Around[RawCall, Any], ...] = ()
    inside: InsideChanges = field(default_factory=InsideChanges)
    parts: Mapping[str, Any] = field(default_factory=dict)
    """Modules that replace the network's, by path (``middle_block.1``); the path "" is the whole network."""
    compile: Callable[[Any], Callable[..., Any]] | None = None
    """Function that returns what to call in place of the network's module."""
    latent_scaling: LatentScaling | None = None
    mask: Callable[[MaskStep], Any] | None = None
    """Function that returns the inpainting mask [B, C, h, w] for a noise level."""
    inputs: tuple[Callable[[Mapping[str, Any], ConditionEntry], Mapping[str, Any]], ...] = ()
    """Functions that change a condition's inputs by name (``nodes.sampling.condition_inputs``)."""
    on_start: tuple[Callable[[Run], None], ...] = ()
    on_end: tuple[Callable[[Run], None], ...] = ()
    both_sides: bool = False
    """Whether to predict the unconditional side also at a guidance scale of 1."""
    data: Mapping[str, Any] = field(default_factory=dict)
    """Other data kept with the model."""

    def __bool__(self) -> bool:
        return any(bool(getattr(self, each.name)) for each in dataclasses.fields(self))

    def moved(self, device: torch.device) -> ModelChanges:
        """Return a copy whose functions are on ``device``, as far as they have a method ``to``, for example modules."""

        def there(function: Any) -> Any:
            return function.to(device) if hasattr(function, "to") else function

        if not (self.inside or self.around_denoise):
            return self
        inside = InsideChanges(
            {place: tuple(map(there, functions)) for place, functions in self.inside.patches.items()},
            {
                part: {place: there(function) for place, function in by_place.items()}
                for part, by_place in self.inside.replacements.items()
            },
            self.inside.data,
        )
        return dataclasses.replace(self, inside=inside, around_denoise=tuple(map(there, self.around_denoise)))


NO_CHANGES: Final = ModelChanges()


def around(functions: Sequence[Around[Any, Any]], stage: Callable[[Any], Result]) -> Callable[[Any], Result]:
    """Wrap ``stage`` in ``functions``, the first one outermost."""
    for function in reversed(functions):
        stage = partial(function, stage)
    return stage
