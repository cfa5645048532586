"""The tensors of one layer in a LoRA file, and the weight change that they describe.

Tensors have kohya-ss's and LyCORIS' endings (``lora_up.weight``, ``hada_w1_a`` …); :mod:`nodes.lora.parsing`
translates other names.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from math import isqrt, prod
from typing import TYPE_CHECKING, Final

from nodes.lora.errors import LoraError

if TYPE_CHECKING:
    from torch import Tensor

    from nodes.models.weight_changes import Change

Shape = tuple[int, ...]
Shapes = Mapping[str, Shape]

BIASES: Final = ("diff_b", "b_norm")
"""Endings of tensors that are added to the layer's bias."""
MAGNITUDE: Final = "dora_scale"
ALPHA: Final = "alpha"


@dataclass(frozen=True)
class Algorithm:
    """One way to change a weight.

    The ``required`` endings identify the algorithm; ``more`` are optional. ``of`` makes the change from a layer's
    tensors and its alpha; ``fits`` checks from shapes whether it can be applied to a weight of a given shape.
    """

    name: str
    required: frozenset[str]
    more: frozenset[str]
    of: Callable[[Mapping[str, Tensor], float | None], Change]
    fits: Callable[[Shapes, Shape], bool]


def algorithm_of(endings: Collection[str]) -> Algorithm:
    """Return the algorithm of a layer that has tensors with these endings.

    Raises LoraError, naming the missing tensors, if there is none.
    """
    present = set(endings)
    found = next((algorithm for algorithm in ALGORITHMS if algorithm.required <= present), None)
    if found is not None:
        return found
    partial = next((algorithm for algorithm in ALGORITHMS if algorithm.required & present), None)
    listed = ", ".join(sorted(present)) or "none"
    if partial is not None:
        missing = ", ".join(sorted(partial.required - present))
        raise LoraError(f"{partial.name} layer with the tensors {listed}: {missing} is missing")
    raise LoraError(f"a LoRA layer with the tensors {listed}; expected those of {', '.join(sorted(_NAMES))}")


def change_of(tensors: Mapping[str, Tensor], alpha: float | None) -> Change:
    """Return the weight change from a layer's tensors, by their endings. ``alpha`` is the file's, or None.

    Raises LoraError if the tensors do not form a known change.
    """
    from nodes.models.weight_changes import Renormalized

    change = algorithm_of(tensors).of(tensors, alpha)
    magnitude = tensors.get(MAGNITUDE)
    return change if magnitude is None else Renormalized(change, magnitude)


def has_change(endings: Collection[str]) -> bool:
    """Whether a layer with these endings changes its weight, not only its bias."""
    return bool(set(endings) - set(BIASES) - {ALPHA, MAGNITUDE})


def fits(shapes: Shapes, weight: Shape) -> bool:
    """Whether a change whose tensors have ``shapes``, by ending, can be applied to a weight of that shape.

    Raises LoraError like :func:`algorithm_of`.
    """
    algorithm = algorithm_of(shapes)
    try:
        return algorithm.fits(shapes, weight)
    except (IndexError, KeyError, ZeroDivisionError):  # the weight has fewer dimensions than the algorithm's tensors
        return False


# -- the algorithms ----------------------------------------------------------------------------------------------


def _lora(t: Mapping[str, Tensor], alpha: float | None) -> Change:
    from nodes.models.weight_changes import LowRank

    return LowRank(t["lora_up.weight"], t["lora_down.weight"], alpha, t.get("lora_mid.weight"))


def _lora_fits(s: Shapes, weight: Shape) -> bool:
    up, down, middle = s["lora_up.weight"], s["lora_down.weight"], s.get("lora_mid.weight")
    if middle is not None:
        return up[0] == weight[0] and (down[1], *middle[2:]) == weight[1:] and (up[1], down[0]) == middle[:2]
    return up[0] == weight[0] and prod(up[1:]) == down[0] and prod(down[1:]) == prod(weight[1:])


def _loha(t: Mapping[str, Tensor], alpha: float | None) -> Change:
    from nodes.models.weight_changes import LoHa

    w1_a, w1_b, w2_a, w2_b = (t[f"hada_{name}"] for name in ("w1_a", "w1_b", "w2_a", "w2_b"))
    return LoHa(w1_a, w1_b, w2_a, w2_b, alpha, t.get("hada_t1"), t.get("hada_t2"))


def _loha_fits(s: Shapes, weight: Shape) -> bool:
    a, b, core = s["hada_w1_a"], s["hada_w1_b"], s.get("hada_t1")
    if core is not None:
        return "hada_t2" in s and (a[1], b[1], *core[2:]) == weight
    return (a[0], b[1]) == (weight[0], prod(weight[1:]))


def _lokr(t: Mapping[str, Tensor], alpha: float | None) -> Change:
    from nodes.models.weight_changes import LoKr

    w1 = t["lokr_w1"] if "lokr_w1" in t else (t["lokr_w1_a"], t["lokr_w1_b"])
    w2 = t["lokr_w2"] if "lokr_w2" in t else (t["lokr_w2_a"], t["lokr_w2_b"])
    return LoKr(w1, w2, alpha, t.get("lokr_t2"))


def _lokr_fits(s: Shapes, weight: Shape) -> bool:
    small = s["lokr_w1"] if "lokr_w1" in s else (s["lokr_w1_a"][0], s["lokr_w1_b"][1])
    if "lokr_w2" in s:
        large = s["lokr_w2"]
    elif "lokr_t2" in s:
        large = (s["lokr_w2_a"][1], s["lokr_w2_b"][1], *s["lokr_t2"][2:])
    else:
        large = (s["lokr_w2_a"][0], s["lokr_w2_b"][1])
    return small[0] * large[0] == weight[0] and prod(small[1:]) * prod(large[1:]) == prod(weight[1:])


def _glora(t: Mapping[str, Tensor], alpha: float | None) -> Change:
    from nodes.models.weight_changes import GLoRA

    a1, a2, b1, b2 = (t[f"{name}.weight"] for name in ("a1", "a2", "b1", "b2"))
    if _is_older_glora({name: tuple(tensor.shape) for name, tensor in t.items()}):
        return GLoRA(a2, a1, b2, b1, alpha)
    return GLoRA(a1, a2, b1, b2, alpha)


def _is_older_glora(s: Shapes) -> bool:
    """Whether the two factors are swapped ([rank, …] first), as in early versions of LyCORIS."""
    return s["a1.weight"][0] < s["a1.weight"][1]


def _glora_fits(s: Shapes, weight: Shape) -> bool:
    a1, b1, b2 = s["a1.weight"], s["b1.weight"], s["b2.weight"]
    width = a1[1] if _is_older_glora(s) else a1[0]
    out, inner = (b2, b1) if _is_older_glora(s) else (b1, b2)
    return width == weight[1] and out[0] == weight[0] and prod(inner[1:]) == prod(weight[1:])


def _rotation(t: Mapping[str, Tensor], alpha: float | None) -> Change:
    """Make a rotation, for which the entry ``alpha`` is the constraint."""
    from nodes.models.weight_rotations import Butterfly, Orthogonal

    blocks, rescale = t["oft_blocks"], t.get("rescale")
    return Butterfly(blocks, alpha, rescale) if blocks.ndim == 4 else Orthogonal(blocks, alpha, rescale)


def _rotation_fits(s: Shapes, weight: Shape) -> bool:
    blocks = s["oft_blocks"]
    return len(blocks) in (3, 4) and blocks[-1] == blocks[-2] and blocks[-3] * blocks[-2] == weight[0]


def _input_rotation(t: Mapping[str, Tensor], alpha: float | None) -> Change:
    from nodes.models.weight_rotations import InputButterfly, InputOrthogonal

    return InputButterfly(t["boft_R"], t["boft_s"]) if "boft_R" in t else InputOrthogonal(t["oft_R.weight"])


def _input_rotation_fits(s: Shapes, weight: Shape) -> bool:
    width = prod(weight[1:])
    if "boft_R" in s:
        return s["boft_R"][1] * s["boft_R"][2] == width and prod(s["boft_s"]) == weight[0]
    groups, elements = s["oft_R.weight"]
    size = (1 + isqrt(1 + 8 * elements)) // 2
    return size * groups == width or (groups == 1 and width % size == 0)


def _difference(ending: str) -> Callable[[Mapping[str, Tensor], float | None], Change]:
    def of(t: Mapping[str, Tensor], alpha: float | None) -> Change:
        from nodes.models.weight_changes import Difference

        return Difference(t[ending])

    return of


def _replacement(t: Mapping[str, Tensor], alpha: float | None) -> Change:
    from nodes.models.weight_changes import Replacement

    return Replacement(t["set_weight"])


def _same_size(ending: str) -> Callable[[Shapes, Shape], bool]:
    return lambda shapes, weight: prod(shapes[ending]) == prod(weight)


def _kronecker(*factors: str) -> Algorithm:
    return Algorithm("LoKr", frozenset(factors), frozenset({"lokr_t2"}), _lokr, _lokr_fits)


ALGORITHMS: Final[tuple[Algorithm, ...]] = (
    Algorithm(
        "LoRA",
        frozenset({"lora_up.weight", "lora_down.weight"}),
        frozenset({"lora_mid.weight"}),
        _lora,
        _lora_fits,
    ),
    Algorithm(
        "LoHa",
        frozenset({"hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b"}),
        frozenset({"hada_t1", "hada_t2"}),
        _loha,
        _loha_fits,
    ),
    _kronecker("lokr_w1", "lokr_w2"),
    _kronecker("lokr_w1", "lokr_w2_a", "lokr_w2_b"),
    _kronecker("lokr_w1_a", "lokr_w1_b", "lokr_w2"),
    _kronecker("lokr_w1_a", "lokr_w1_b", "lokr_w2_a", "lokr_w2_b"),
    Algorithm(
        "GLoRA", frozenset({"a1.weight", "a2.weight", "b1.weight", "b2.weight"}), frozenset(), _glora, _glora_fits
    ),
    Algorithm("OFT", frozenset({"oft_blocks"}), frozenset({"rescale"}), _rotation, _rotation_fits),
    Algorithm("OFT of inputs", frozenset({"oft_R.weight"}), frozenset(), _input_rotation, _input_rotation_fits),
    Algorithm("BOFT of inputs", frozenset({"boft_R", "boft_s"}), frozenset(), _input_rotation, _input_rotation_fits),
    Algorithm("full", frozenset({"diff"}), frozenset(), _difference("diff"), _same_size("diff")),
    Algorithm("norm", frozenset({"w_norm"}), frozenset(), _difference("w_norm"), _same_size("w_norm")),
    Algorithm("replaced", frozenset({"set_weight"}), frozenset(), _replacement, _same_size("set_weight")),
)
"""All algorithms. The first one whose required endings exist is used."""

ENDINGS: Final = frozenset(
    {ALPHA, MAGNITUDE, *BIASES}.union(*(algorithm.required | algorithm.more for algorithm in ALGORITHMS))
)
"""Every possible ending of a LoRA file's tensors."""

_NAMES: Final = {algorithm.name for algorithm in ALGORITHMS}
