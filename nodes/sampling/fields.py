"""Inputs that several sampling nodes have."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from graph.node import Choices, Hint, Range
from nodes.sampling.names import SAMPLERS, SCHEDULERS

Steps: TypeAlias = Annotated[int, Range(1, 10_000)]
GuidanceScale: TypeAlias = Annotated[float, Range(0.0, 100.0, 0.1), Hint(round=0.01)]
Denoise: TypeAlias = Annotated[float, Range(0.0, 1.0, 0.01)]
SamplerName: TypeAlias = Annotated[str, Choices(SAMPLERS)]
SchedulerName: TypeAlias = Annotated[str, Choices(SCHEDULERS)]
