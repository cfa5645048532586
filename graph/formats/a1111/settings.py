"""Reads the named settings of A1111's text: numbers, sizes and hashes. Unusable values are noted and replaced."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

MOST_STEPS: Final = 10_000
LARGEST_SIDE: Final = 16_384
SMALLEST_SIDE: Final = 16
MOST_STRENGTH: Final = 100

_SEEDS: Final = 2**64
_SIZE: Final = re.compile(r"\s*(\d{1,9})\s*[x×]\s*(\d{1,9})\s*", re.IGNORECASE)
_NAMED_HASH: Final = re.compile(r"([^\s,:]+)\s*:\s*([0-9a-fA-F]{8,64})")
_WITHOUT_EFFECT: Final = frozenset(
    {
        *("Version", "Model hash", "Lora hashes", "TI hashes", "User", "Created Date"),
        *("Civitai metadata", "Batch size", "Batch pos", "Template", "Negative Template"),
        *("App", "Operations", "Parser", "Pad conds", "Downcast alphas_cumprod"),
    }
)
"""Settings that name things, and change nothing in the picture."""
_NONE: Final = frozenset(
    {
        *("", "0", "0.0", "none", "false", "automatic"),
        *("use same sampler", "use same scheduler", "use same checkpoint", "use same choices"),
    }
)
"""Values, in lower case, that mean that a setting is unused."""


class Size(NamedTuple):
    width: int
    height: int

    def __str__(self) -> str:
        return f"{self.width}×{self.height}"

    def is_usable(self) -> bool:
        """Return whether both sides are within the nodes' limits."""
        return all(SMALLEST_SIDE <= side <= LARGEST_SIDE for side in self)


class Settings:
    """The settings by name, such as ``CFG scale``. ``notes`` say which values are not used, and what replaces them."""

    def __init__(self, settings: Mapping[str, str]):
        self._settings = settings
        self._unused = dict(settings)
        self.notes: list[str] = []

    def __contains__(self, name: str) -> bool:
        return name in self._settings

    def note(self, text: str) -> None:
        self.notes.append(text)

    def value(self, name: str) -> str:
        """Return a setting's text, or an empty one. It does not count as converted."""
        return self._settings.get(name, "").strip()

    def take(self, *names: str) -> str:
        """Return the first of these settings that is used, or an empty text. All of them count as converted."""
        found = [self._unused.pop(name) for name in names if name in self._unused]
        return next((value.strip() for value in found if value.strip().lower() not in _NONE), "")

    def number(self, default: float, low: float, high: float, *names: str) -> float:
        """Return the first of these settings that is not empty. ``default`` replaces a number out of range."""
        text = next((value for name in names if (value := self._unused.pop(name, "").strip())), "")
        if not text:
            return default
        try:
            number = float(text)
        except ValueError:
            self.note(f"{names[0]}: “{cut(text)}” is not a number; {default:g} is used.")
            return default
        if not low <= number <= high:  # nor NaN
            self.note(f"{names[0]}: {cut(text)} is not a number from {low:g} to {high:g}; {default:g} is used.")
            return default
        return number

    def whole(self, default: int, low: int, high: int, *names: str) -> int:
        """Like ``number``, rounded down."""
        return int(self.number(default, low, high, *names))

    def seed(self) -> int:
        """Return the seed; 0 if the text has none that a node accepts."""
        text = self._unused.pop("Seed", "").strip()
        if not text:
            self.note("The text names no seed; 0 is used.")
            return 0
        try:
            seed = int(text)
        except ValueError:
            self.note(f"Seed: “{cut(text)}” is not a whole number; 0 is used.")
            return 0
        if seed == -1:
            self.note("Seed: -1 lets A1111 choose a seed; 0 is used.")
            return 0
        if not 0 <= seed < _SEEDS:
            self.note(f"Seed: {cut(text)} is not a number from 0 to {_SEEDS - 1}; 0 is used.")
            return 0
        return seed

    def size(self, name: str) -> Size | None:
        """Return a size such as ``512x768``; sides may be 0. None if there is none."""
        text = self.take(name)
        match = _SIZE.fullmatch(text)
        if match is None:
            if text:
                self.note(f"{name}: “{cut(text)}” is not a size such as 512x768.")
            return None
        return Size(int(match[1]), int(match[2]))

    def hashes(self, setting: str) -> dict[str, str]:
        """Return name, lower case → hash, of a setting such as ``Lora hashes: "a: 0123abcd, b: …"``."""
        return {name.lower(): digits for name, digits in _NAMED_HASH.findall(self._settings.get(setting, ""))}

    def civitai_hashes(self) -> dict[str, str]:
        """Return ``Hashes: {"model": "469f73e1fd", "lora:a": …}``, keys in lower case."""
        found = _parsed(self.value("Hashes"))
        if not isinstance(found, dict):
            return {}
        self._unused.pop("Hashes", None)
        return {key.lower(): digits.strip() for key, digits in found.items() if isinstance(digits, str)}

    def civitai_resources(self) -> list[dict[str, Any]]:
        """Return the models of ``Civitai resources: [{"type": "lora", "modelName": …, "weight": 0.8}, …]``."""
        found = _parsed(self.value("Civitai resources"))
        if not isinstance(found, list) or not all(isinstance(entry, dict) for entry in found):
            return []
        self._unused.pop("Civitai resources", None)
        return found

    def list_the_rest(self) -> None:
        """Add a note for each setting that has an effect and was not converted."""
        for name, value in self._unused.items():
            if name not in _WITHOUT_EFFECT and value.strip().lower() not in _NONE:
                self.note(f"{name}: {cut(value, 120)} is not converted.")


def _parsed(text: str) -> Any:
    try:
        return json.loads(text) if text else None
    except (ValueError, RecursionError):
        return None


def strength_of(value: Any) -> float | None:
    """Return a LoRA's strength, from -``MOST_STRENGTH`` to ``MOST_STRENGTH``; None for other values."""
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) and abs(number) <= MOST_STRENGTH else None


def cut(text: str, limit: int = 60) -> str:
    """Return ``text`` for a note, with at most ``limit`` characters."""
    return text if len(text) <= limit else text[: limit - 1] + "…"
