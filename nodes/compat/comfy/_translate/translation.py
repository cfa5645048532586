"""Translates the records of one run to packs' forms and packs' results back, and caches both."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Final

from torch import Tensor

from nodes.compat.comfy._k_sampler import TRANSLATION
from nodes.compat.comfy._translate.conditions import THEIR_NAMES, condition_of, dict_of, signature_of
from nodes.compat.comfy._translate.options import GROUPS, changes_of, options_of
from nodes.compat.comfy._translate.stages import sigma_of
from nodes.models.changes import NO_CHANGES, ModelChanges, NetworkCall, Step
from nodes.sampling.conditions import NAMES, Condition
from nodes.sampling.prediction import Predictor

_KEPT: Final = 64
"""Maximum number of cached translations of each kind."""


class Translation:
    """``model`` is what packs see of the model (:class:`comfy.model_base.BaseModel`), ``predictor`` Sumi's."""

    def __init__(self, model: Any, predictor: Predictor):
        self.model = model
        self.predictor = predictor
        self.seed: int | None = None
        predictor.kept[TRANSLATION] = self
        self._options: dict[ModelChanges, dict[str, Any]] = {}
        self._changes: dict[Any, tuple[ModelChanges, Any]] = {}
        self._dicts: dict[Condition, Any] = {}
        self._conditions: dict[Any, tuple[Condition, Any]] = {}

    # -- changes of the model ------------------------------------------------------------------------------------

    def options(self, changes: ModelChanges) -> dict[str, Any]:
        """Model options for these changes: the same dict each time."""
        if changes not in self._options:
            made = options_of(changes, whole=True)
            _make_room(self._options)
            self._options[changes] = made
            self._remember(made, changes)
        return self._options[changes]

    def changes(self, model_options: Mapping[str, Any] | None) -> ModelChanges:
        """Return the changes that model options describe: the same object for the same functions."""
        options = model_options or {}
        signature = signature_of(options)
        if signature not in self._changes:
            base = self.predictor.model.changes
            made = dataclasses.replace(
                changes_of(options), parts=base.parts, latent_scaling=base.latent_scaling, compile=base.compile
            )
            self._remember(options, made)
        return self._changes[signature][0]

    def _remember(self, options: Mapping[str, Any], changes: ModelChanges) -> None:
        _make_room(self._changes)
        # The content is kept alive: its objects' ids are the signature.
        self._changes[signature_of(options)] = changes, _leaves(options)

    # -- conditions ----------------------------------------------------------------------------------------------

    def dicts(self, conditions: Sequence[Condition] | None, x: Tensor) -> list[dict[str, Any]] | None:
        """Return a side in the form that packs use."""
        if conditions is None:
            return None
        return [self._dict(condition, x) for condition in conditions]

    def conditions(self, side: Sequence[Mapping[str, Any]] | None, x: Tensor) -> list[Condition]:
        """Return the conditions of a side that a pack passes; empty for None."""
        return [self._condition(cond, x) for cond in side or ()]

    def _dict(self, condition: Condition, x: Tensor) -> Any:
        known = self._dicts.get(condition)
        if known is None or known.condition is None:
            _make_room(self._dicts)
            known = self._dicts[condition] = dict_of(condition, x, self.predictor.levels)
        return known

    def _condition(self, cond: Mapping[str, Any], x: Tensor) -> Condition:
        known: Condition | None = getattr(cond, "condition", None)
        if known is not None:
            return known
        signature = (signature_of(cond), tuple(x.shape))
        if signature not in self._conditions:
            _make_room(self._conditions)
            self._conditions[signature] = condition_of(cond, x), _leaves(cond)
        return self._conditions[signature][0]

    # -- steps and calls -----------------------------------------------------------------------------------------

    def step(
        self,
        sides: Mapping[str, Sequence[Mapping[str, Any]] | None],
        x: Tensor,
        timestep: Tensor,
        model_options: Mapping[str, Any] | None,
    ) -> Step:
        """Return the step for a prediction of sides that a pack requests."""
        conditions = {name: self.conditions(side, x) for name, side in sides.items()}
        return Step(x, sigma_of(timestep), conditions, self.predictor, self.changes(model_options))

    def arguments(self, call: NetworkCall) -> dict[str, Any]:
        """Return the named arguments of ``BaseModel.apply_model`` for a call."""
        named = {THEIR_NAMES.get(name, name): value for name, value in call.inputs.items()}
        named["transformer_options"] = {**self.options(call.changes)["transformer_options"], **call.options}
        return named

    def call(
        self, x: Tensor, t: Tensor, inputs: Mapping[str, Any], transformer_options: Mapping[str, Any] | None
    ) -> NetworkCall:
        """The call that ``BaseModel.apply_model`` describes with these arguments."""
        options = transformer_options or {}
        functions = {name: options[name] for name in GROUPS if options.get(name)}
        changes = self.changes({"transformer_options": functions}) if functions else NO_CHANGES
        given = {NAMES.get(name, name): value for name, value in inputs.items() if value is not None}
        data = {name: value for name, value in options.items() if name not in GROUPS}
        sides = tuple(options.get("cond_or_uncond", ()))
        return NetworkCall(x, sigma_of(t), given, sides, self.predictor, changes, data)


def _make_room(kept: dict[Any, Any]) -> None:
    """Drop the oldest translations above the limit."""
    if len(kept) >= _KEPT:
        del kept[next(iter(kept))]


def _leaves(value: Any) -> Any:
    """A copy of a dict's structure; the values are shared."""
    if isinstance(value, dict):
        return {name: _leaves(item) for name, item in value.items()}
    return list(value) if isinstance(value, list) else value
