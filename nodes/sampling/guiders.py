"""Guiders: they choose the sides that a prediction needs, and join them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor

from nodes.models.changes import GuidanceStep, Guider, Step
from nodes.sampling.guidance import classifier_free_step, guide, perpendicular, predict_sides
from nodes.types import Conditioning


@dataclass(frozen=True, eq=False)
class BasicGuider:
    """The prediction of one side, unguided."""

    positive: Conditioning

    @property
    def sides(self) -> Mapping[str, Any]:
        return {"positive": self.positive}

    def predict(self, step: Step) -> Tensor:
        return guide(step, predict_sides(step, "positive"), 1.0)


@dataclass(frozen=True, eq=False)
class CfgGuider:
    """Classifier-free guidance (arXiv:2207.12598) away from ``negative`` towards ``positive``."""

    positive: Conditioning
    negative: Conditioning
    scale: float

    @property
    def sides(self) -> Mapping[str, Any]:
        return {"positive": self.positive, "negative": self.negative}

    def predict(self, step: Step) -> Tensor:
        return classifier_free_step(step, self.scale)


@dataclass(frozen=True, eq=False)
class DualCfgGuider:
    """Guidance between three sides (InstructPix2Pix, arXiv:2211.09800, section 3.2.1).

    ``regular``: n + ``middle_scale`` · (m - n) + ``scale`` · (p - m). ``nested``: guidance from n towards the guided
    result m + ``scale`` · (p - m). The model's guidance functions apply to the first difference of ``regular`` and
    the inner one of ``nested``.
    """

    positive: Conditioning
    middle: Conditioning
    negative: Conditioning
    scale: float
    middle_scale: float
    style: Literal["regular", "nested"] = "regular"

    @property
    def sides(self) -> Mapping[str, Any]:
        return {"positive": self.positive, "middle": self.middle, "negative": self.negative}

    def predict(self, step: Step) -> Tensor:
        if self.style == "nested":
            made = predict_sides(step, "positive", "middle", "negative")
            inner = guide(step, made, self.scale, toward="positive", away="middle")
            return made["negative"] + (inner - made["negative"]) * self.middle_scale
        # sides that cancel at a scale of 1 are not predicted
        sides = ["positive", "middle", "negative"]
        if math.isclose(self.middle_scale, 1.0) and not step.changes.both_sides:
            sides.remove("negative")
            if math.isclose(self.scale, 1.0):
                return guide(step, predict_sides(step, "positive"), self.scale)
        made = predict_sides(step, *sides)
        outer = guide(step, made, self.middle_scale, toward="middle", away="negative")
        return outer + (made["positive"] - made["middle"]) * self.scale


@dataclass(frozen=True, eq=False)
class PerpNegGuider:
    """Guidance away from the negative text's component perpendicular to the positive one (arXiv:2304.04968).

    With p and n the differences of both sides from the prediction of ``empty``, e:
    e + ``scale`` · (p - ``negative_scale`` · n⊥).
    """

    positive: Conditioning
    negative: Conditioning
    empty: Conditioning
    scale: float
    negative_scale: float = 1.0

    @property
    def sides(self) -> Mapping[str, Any]:
        return {"positive": self.positive, "negative": self.negative, "empty": self.empty}

    def predict(self, step: Step) -> Tensor:
        return guide(step, predict_sides(step, "positive", "negative", "empty"), self.scale, join=self._join)

    def _join(self, at: GuidanceStep) -> Tensor:
        empty = at.predictions["empty"]
        positive, negative = at.conditional - empty, at.unconditional - empty
        return empty + (positive - perpendicular(negative, positive) * self.negative_scale) * at.scale


__all__ = ["BasicGuider", "CfgGuider", "DualCfgGuider", "Guider", "PerpNegGuider"]
