"""Step caches: while the output of a step is expected to change little, the difference from an earlier one is reused.

EasyCache (Zhou et al., arXiv:2507.02860): from step to step, the output v of the network changes in proportion to its
input x, with a rate k = mean|Δv| / mean|Δx| that changes slowly. The expected relative change k · mean|Δx| / mean|v| of
every step is added up. While the sum is below a threshold, v is approximated by x + (v' - x'), where x' and v' are the
input and output of the last step that was computed.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field

from torch import Tensor

from nodes.changes.run_position import RunPosition, kept_in
from nodes.models.changes import NetworkCall, RawCall, Run, Step

log = logging.getLogger(__name__)


@dataclass
class ExpectedChange:
    """The expected change of an output since it was last computed, relative to its size."""

    total: float = 0.0
    _rate: float | None = None
    _last_input: Tensor | None = None
    _computed: tuple[Tensor, Tensor] | None = None

    def stays_below(self, threshold: float, x: Tensor) -> bool:
        """Whether the change that is expected up to the input ``x`` is below ``threshold``; otherwise start again."""
        last, self._last_input = self._last_input, x
        if self._rate is None or self._computed is None or last is None or last.shape != x.shape:
            self.total = 0.0
            return False
        size = float(self._computed[1].abs().mean())
        self.total += self._rate * float((x - last).abs().mean()) / size if size > 0 else float("inf")
        if self.total < threshold:
            return True
        self.total = 0.0
        return False

    def computed(self, x: Tensor, output: Tensor) -> None:
        """Note a computed output for the input ``x``, both [B, C, h, w]."""
        before, self._computed = self._computed, (x, output)
        self._last_input = x
        if before is None or before[0].shape != x.shape:
            self._rate = None
            return
        moved = float((x - before[0]).abs().mean())
        if moved > 0:
            self._rate = float((output - before[1]).abs().mean()) / moved


@dataclass(frozen=True)
class Window:
    """The noise levels at which a change is active, from ``start`` down to ``end``."""

    start: float
    end: float

    def holds(self, level: float) -> bool:
        return self.end <= level <= self.start


@dataclass
class _Kept:
    """A step cache's state in a run."""

    position: RunPosition = field(default_factory=RunPosition)
    change: ExpectedChange = field(default_factory=ExpectedChange)
    differences: dict[Hashable, Tensor] = field(default_factory=dict)
    """Output minus input of each call in the last computed prediction."""
    reuses: bool | None = None
    """Whether the current prediction reuses them; None before its first call."""
    recorded: tuple[Tensor, Tensor] | None = None
    """Input and output of the network in the last call."""
    all: int = 0
    reused: int = 0


@dataclass(frozen=True, eq=False)
class EasyCache:
    """Reuse the network's output, approximated for the current input, as the module says.

    Add :meth:`begin` around predictions, :meth:`denoise` around batches, :meth:`record` around the network, and
    :meth:`report` at the end of a run. The first call of a prediction decides for all of them, by the latents of its
    first side. Nothing is reused where the items of a batch have different noise levels.
    """

    threshold: float
    window: Window
    verbose: bool = False

    def begin(self, proceed: Callable[[Step], Tensor], step: Step) -> Tensor:
        """Begin a guided prediction."""
        kept = kept_in(step.predictor, self, _Kept)
        if kept.position.begin(step):
            kept.change, kept.differences = ExpectedChange(), {}
        kept.reuses = None
        kept.all += 1
        return proceed(step)

    def denoise(self, proceed: Callable[[NetworkCall], Tensor], call: NetworkCall) -> Tensor:
        """Return the denoised latents of a batch, computed or approximated."""
        kept = kept_in(call.predictor, self, _Kept)
        if isinstance(call.sigma, tuple) or kept.position.predictions == 0:
            return proceed(call)
        levels = call.predictor.levels
        place = kept.position.next_call(call)
        given = levels.network_input(call.x, call.sigma)
        is_first = kept.reuses is None
        if kept.reuses is None:
            below = kept.change.stays_below(self.threshold, _first_side(call, given))
            kept.reuses = below and self.window.holds(call.sigma)
            kept.reused += kept.reuses
            self._tell(call.sigma, kept)
        difference = kept.differences.get(place)
        if kept.reuses and difference is not None:
            return levels.denoised(call.x, given + difference, call.sigma)
        kept.recorded = None
        denoised = proceed(call)
        if kept.recorded is not None:
            given, output = kept.recorded
            kept.differences[place] = output - given
            if is_first:
                kept.change.computed(_first_side(call, given), _first_side(call, output))
        return denoised

    def record(self, proceed: Callable[[RawCall], Tensor], call: RawCall) -> Tensor:
        """Record the network's input and output."""
        output = proceed(call)
        given = call.x[:, : output.shape[1]].to(output.dtype)
        kept_in(call.predictor, self, _Kept).recorded = given, output
        return output

    def report(self, run: Run) -> None:
        """Log how much was reused."""
        kept = kept_in(run.predictor, self, _Kept)
        log.info("EasyCache: %d of %d predictions reused", kept.reused, kept.all)

    def _tell(self, level: float, kept: _Kept) -> None:
        if self.verbose:
            _tell("EasyCache", level, bool(kept.reuses), kept.change.total)


def _first_side(call: NetworkCall, x: Tensor) -> Tensor:
    """Return the part of a batch [N, C, h, w] that belongs to the first side among its conditions."""
    return x.chunk(len(call.sides))[call.sides.index(min(call.sides))]


@dataclass(frozen=True, eq=False)
class LazyCache:
    """Reuse the guided prediction: the module's rule for the scaled noisy latent as x and its guided noise as v.

    It works with every network, and skips also what functions add to guidance. Add :meth:`__call__` around predictions
    and :meth:`report` at the end of a run. Where a sampler wants the unconditional prediction, too, it is computed.
    """

    threshold: float
    window: Window
    verbose: bool = False

    def __call__(self, proceed: Callable[[Step], Tensor], step: Step) -> Tensor:
        kept = kept_in(step.predictor, self, _Kept)
        if kept.position.begin(step):
            kept.change, kept.differences = ExpectedChange(), {}
        kept.all += 1
        level = step.sigma
        if isinstance(level, tuple) or level <= 0 or _wants_more(step):
            return proceed(step)
        given = step.predictor.levels.network_input(step.x, level)
        below = kept.change.stays_below(self.threshold, given)
        difference = kept.differences.get("guided")
        reuses = below and difference is not None and self.window.holds(level)
        kept.reused += reuses
        if self.verbose:
            _tell("LazyCache", level, reuses, kept.change.total)
        if reuses and difference is not None:
            return step.x - (given + difference) * level
        denoised = proceed(step)
        noise = (step.x - denoised) / level
        kept.differences["guided"] = noise - given
        kept.change.computed(given, noise)
        return denoised

    def report(self, run: Run) -> None:
        """Log how much was reused."""
        kept = kept_in(run.predictor, self, _Kept)
        log.info("LazyCache: %d of %d predictions reused", kept.reused, kept.all)


def _wants_more(step: Step) -> bool:
    """Whether a sampler wants the unconditional prediction, too, for which it adds a function after guidance."""
    return step.changes.after_guidance != step.predictor.model.changes.after_guidance


def _tell(name: str, level: float, reuses: bool, total: float) -> None:
    log.info("%s: noise level %.3f %s, expected change %.3f", name, level, "reused" if reuses else "computed", total)
