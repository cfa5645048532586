"""Converts AUTOMATIC1111's prompt syntax to Sumi's: weights, LoRAs, parts, and changes during sampling."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from graph.formats.a1111.prompt_schedule import Alternation, Change, first_texts, parse, split_parts
from graph.formats.a1111.settings import strength_of

EMPHASIS: Final = 1.1

_NETWORK: Final = re.compile(r"<(lora|lyco|hypernet):([^<>]+)>", re.IGNORECASE)
_TOKEN: Final = re.compile(r"\\[()\[\]\\]|[()\[\]]|:\s*[+-]?(?:\d+\.?\d*|\.\d+)\s*\)|[^\\()\[\]:]+|.", re.DOTALL)
_BREAK: Final = re.compile(r"\s*\bBREAK\b\s*")


class Lora(NamedTuple):
    """A LoRA by the name in the prompt, and its strengths."""

    name: str
    model: float
    clip: float


@dataclass
class Prompt:
    """A prompt in Sumi's syntax. ``parts`` are encoded separately and joined; ``notes`` say what was not converted."""

    parts: list[str] = field(default_factory=list)
    loras: list[Lora] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    weighted: bool = False


def read_prompt(text: str, embeddings: Mapping[str, str] | None = None) -> Prompt:
    """Convert a prompt.

    ``embeddings`` are the textual inversions that the prompt may name, lower case, and their names in the embeddings
    folder. Weights are converted so that each word keeps its weight: ``[a]`` is ``(a:0.9091)``. ``BREAK`` begins
    another part. LoRAs are removed. Words that change during sampling keep their first form.
    """
    found = Prompt()
    text = without_networks(text, found)
    text = _without_schedules(text, found)
    text = _without_and(text, found)
    text = _with_embeddings(text, embeddings or {})
    runs, same = weighted_runs(text)
    found.weighted = any(weight != 1.0 for _, weight in runs)
    if same and not _BREAK.search(text):
        found.parts = [text.strip()]
    else:
        found.parts = _written(runs)
    return found


# -- networks -----------------------------------------------------------------------------------------------------


def without_networks(text: str, found: Prompt) -> str:
    """Return the text without ``<lora:name:weight>`` and the like, which are added to ``found``."""

    def take(match: re.Match[str]) -> str:
        if match[1].lower() == "hypernet":
            found.notes.append(f"{match[0]}: hypernetworks are not converted.")
        else:
            found.loras.append(_lora(match, found))
        return ""

    without = _NETWORK.sub(take, text)
    return re.sub(r"[ \t]{2,}", " ", without).strip() if without != text else text


def _lora(match: re.Match[str], found: Prompt) -> Lora:
    """``name``, ``name:both``, ``name:clip:model``, or with ``te=`` and ``unet=``."""
    name, *arguments = (part.strip() for part in match[2].split(":"))
    strengths: list[float] = []
    named: dict[str, float] = {}
    for argument in arguments:
        key, equals, value = argument.rpartition("=")
        number = strength_of(value)
        if number is None or (equals and key not in ("te", "unet")) or (not equals and len(strengths) == 2):
            found.notes.append(f"{match[0]}: “{argument}” is not converted.")
        elif equals:
            named[key] = number
        else:
            strengths.append(number)
    clip = named.get("te", strengths[0] if strengths else 1.0)
    return Lora(name, named.get("unet", strengths[1] if len(strengths) > 1 else clip), clip)


# -- what changes during sampling ---------------------------------------------------------------------------------


def _without_schedules(text: str, found: Prompt) -> str:
    """Return the text with ``[from:to:when]``, ``[to:when]`` and ``[a|b]`` replaced by their first words."""

    def replaced(piece: Change | Alternation, used: str) -> None:
        kind = "changes the prompt during sampling" if isinstance(piece, Change) else "alternates words at every step"
        found.notes.append(f"{piece.written} {kind}; “{used.strip()}” is used throughout.")

    return first_texts(parse(text), replaced)


def _without_and(text: str, found: Prompt) -> str:
    parts = split_parts(text)
    if len(parts) == 1:
        return text
    found.notes.append("AND guides by several prompts at once; here they are one prompt.")
    return ", ".join(part.text.strip() for part in parts)


# -- embeddings ---------------------------------------------------------------------------------------------------


def _with_embeddings(text: str, embeddings: Mapping[str, str]) -> str:
    """Return the text with ``embedding:`` before the names of textual inversions, which A1111 writes as plain words."""
    if not embeddings:
        return text
    names = "|".join(re.escape(name) for name in sorted(embeddings, key=len, reverse=True))
    pattern = re.compile(rf"(?<![\w\-.])(?<!embedding:)({names})(?![\w\-]|\.\w)", re.IGNORECASE)

    def named(match: re.Match[str]) -> str:
        before, after = text[: match.start()][-1:], text[match.end() :][:1]
        left = "" if before in ("", "(", ",") or before.isspace() else " "
        right = "" if after in ("", ")", ",", ":") or after.isspace() else " "
        return f"{left}embedding:{embeddings[match[1].lower()]}{right}"

    return pattern.sub(named, text)


# -- weights ------------------------------------------------------------------------------------------------------


def weighted_runs(text: str) -> tuple[list[tuple[str, float]], bool]:
    """Return pieces of the text with their weights, and whether Sumi reads the text in the same way.

    A round bracket multiplies by 1.1 or by the number after a colon, a square one divides by 1.1. Unclosed brackets
    extend to the end.
    """
    runs: list[tuple[str, float]] = []
    open_round: list[int] = []
    open_square: list[int] = []
    same = True

    def multiply(start: int, factor: float) -> None:
        runs[start:] = [(run, weight * factor) for run, weight in runs[start:]]

    for token in _TOKEN.findall(text):
        if token.startswith("\\") and len(token) == 2:
            same = same and token in (r"\(", r"\)")
            runs.append((token[1], 1.0))
        elif token == "(":
            open_round.append(len(runs))
        elif token == "[":
            same = False
            open_square.append(len(runs))
        elif token.startswith(":") and token.endswith(")") and open_round:
            same = same and len(open_round) == 1
            multiply(open_round.pop(), float(token[1:-1]))
        elif token == ")" and open_round:
            multiply(open_round.pop(), EMPHASIS)
        elif token == "]" and open_square:
            multiply(open_square.pop(), 1 / EMPHASIS)
        else:
            same = same and not token.endswith(")")
            runs.append((token, 1.0))
    same = same and not open_round
    for start in open_round:
        multiply(start, EMPHASIS)
    for start in open_square:
        multiply(start, 1 / EMPHASIS)
    return runs, same


def _written(runs: Iterable[tuple[str, float]]) -> list[str]:
    """Return the pieces in Sumi's syntax, as the parts that ``BREAK`` separates."""
    merged: list[tuple[str, float]] = []
    for text, weight in runs:
        weight = round(weight, 4)
        if merged and merged[-1][1] == weight:
            merged[-1] = (merged[-1][0] + text, weight)
        else:
            merged.append((text, weight))
    parts = [""]
    for text, weight in merged:
        first, *others = _BREAK.split(text)
        parts[-1] += _bracketed(first, weight)
        parts += [_bracketed(piece, weight) for piece in others]
    return [part.strip() for part in parts if part.strip()] or [""]


def _bracketed(text: str, weight: float) -> str:
    escaped = text.replace("(", r"\(").replace(")", r"\)")
    if weight == 1.0 or not text.strip():
        return escaped
    inner = escaped.strip()
    start = len(escaped) - len(escaped.lstrip())
    end = len(escaped.rstrip())
    return f"{escaped[:start]}({inner}:{weight:g}){escaped[end:]}"
