"""Several prompts of one side, composed by weights: the option ``composed`` of a CONDITIONING's entries.

An entry's ``composed`` is ``(number, weight)`` of its prompt. With c_i the prediction of prompt i, w_i its weight and u
the negative side's prediction, the side's prediction is u + Σ w_i·(c_i - u): guidance then adds up the prompts'
directions instead of averaging them, and a negative weight points away from a prompt (Liu et al., arXiv:2206.01714).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from torch import Tensor

from nodes.sampling.areas import ConditionError
from nodes.sampling.conditions import Condition

Part = tuple[int, float]
"""Number and weight of a prompt."""

WHOLE: Part = (0, 1.0)
"""The part of an entry without the option."""


def part_of(condition: Condition) -> Part:
    """Return the part of the condition's side that it belongs to."""
    number, weight = condition.options.get("composed", WHOLE)
    return number, weight


def is_composed(conditions: Iterable[Condition]) -> bool:
    """Whether a side has weighted prompts, so that its prediction needs the negative side's."""
    return any(part_of(condition) != WHOLE for condition in conditions)


def compose(predictions: Mapping[Part, Tensor], away: Tensor | None) -> Tensor:
    """Return the prediction of a side from those of its parts.

    Without ``away``, the negative side's prediction, it is the weighted mean of the parts. Raises ConditionError if
    there is none, because the weights add up to 0.
    """
    parts: Sequence[tuple[float, Tensor]] = [(weight, prediction) for (_, weight), prediction in predictions.items()]
    if len(parts) == 1 and (parts[0][0] == 1.0 or away is None):
        return parts[0][1]
    if away is not None:
        composed = away.clone()
        for weight, prediction in parts:
            composed += weight * (prediction - away)
        return composed
    total = sum(weight for weight, _ in parts)
    if total == 0:
        raise ConditionError("the weights of the prompts that AND joins add up to 0; this needs a negative prompt")
    return sum((weight / total * prediction for weight, prediction in parts[1:]), parts[0][0] / total * parts[0][1])
