"""Parses the text of a picture: prompt, negative prompt, and named settings."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

_NEGATIVE: Final = "Negative prompt:"
_SETTINGS_LINE: Final = re.compile(r"\s*Steps:\s*\d+\s*(,|$)")
_OTHER_FIRST: Final = re.compile(r"\s*(Sampler|Schedule type|CFG scale|Seed|Size|Model|Model hash|Clip skip):\s")
_SETTINGS_INSIDE: Final = re.compile(r"(?:^|\s)(?=Steps:\s*\d+\s*,)")
_KEY: Final = re.compile(r"\s*([A-Za-z][\w \-/+.]*?)\s*:\s*")
_LATER_LINE: Final = re.compile(r"([A-Z][\w \-/]*):\s*(.*)")
_FEWEST_SETTINGS: Final = 3
"""Settings in a last line that does not begin with ``Steps``."""


@dataclass(frozen=True)
class Parameters:
    """How a picture was made. ``settings`` are by name, such as ``CFG scale``, in the order of the text, unquoted."""

    prompt: str = ""
    negative: str = ""
    settings: Mapping[str, str] = field(default_factory=dict)


def is_parameters(text: str) -> bool:
    """Return whether ``text`` looks like parameters of a picture: it names the steps and the sampler or guidance."""
    found = parse_parameters(text).settings
    return "Steps" in found and not found.keys().isdisjoint(("Sampler", "CFG scale", "Seed"))


def parse_parameters(text: str) -> Parameters:
    """Read the text. All of it is a prompt if it names no settings.

    Prompts may have several lines. The negative prompt begins with the first line that starts with
    ``Negative prompt:``, the settings with the last line that starts with ``Steps:``.
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\0", "").strip()
    lines = text.split("\n")
    place = _settings_place(lines)
    if place is not None:
        prompt, negative = _prompts(lines[:place])
        return Parameters(prompt, negative, _settings(lines[place:]))
    # Some programs join everything into one line.
    inside = list(_SETTINGS_INSIDE.finditer(text))
    if inside:
        prompts, settings = text[: inside[-1].start()], text[inside[-1].end() :]
        prompt, _, negative = prompts.partition(_NEGATIVE)
        return Parameters(prompt.strip(), negative.strip(), _settings(settings.split("\n")))
    prompt, negative = _prompts(lines)
    return Parameters(prompt, negative)


def _settings_place(lines: list[str]) -> int | None:
    """Return the number of the first line of settings."""
    for number in reversed(range(len(lines))):
        if _SETTINGS_LINE.match(lines[number]):
            return number
    begins = _OTHER_FIRST.match(lines[-1]) is not None
    return len(lines) - 1 if begins and len(dict(named_values(lines[-1]))) >= _FEWEST_SETTINGS else None


def _prompts(lines: list[str]) -> tuple[str, str]:
    for number, line in enumerate(lines):
        if line.strip().startswith(_NEGATIVE):
            first = line.strip().removeprefix(_NEGATIVE)
            return "\n".join(lines[:number]).strip(), "\n".join([first, *lines[number + 1 :]]).strip()
    return "\n".join(lines).strip(), ""


def _settings(lines: list[str]) -> dict[str, str]:
    """Return the settings of the first line, and of further lines with one setting each, as extensions write them."""
    found = dict(named_values(lines[0]))
    for line in lines[1:]:
        if (match := _LATER_LINE.fullmatch(line.strip())) is not None:
            found.setdefault(match[1], match[2])
    return found


def named_values(line: str) -> Iterator[tuple[str, str]]:
    """Yield the pairs of ``Name: value, Name: value``. Quoted values, lists and objects may hold commas."""
    at = 0
    while at < len(line):
        key = _KEY.match(line, at)
        comma = line.find(",", at)
        if key is None or 0 <= comma < key.end() - 1:
            if comma < 0:
                return
            at = comma + 1
            continue
        value, at = _value(line, key.end())
        yield key[1], value


def _value(line: str, at: int) -> tuple[str, int]:
    """Return the value at ``at``, and the position after the comma that ends it."""
    if line[at : at + 1] in ('"', "[", "{"):
        try:
            decoded, end = json.JSONDecoder().raw_decode(line, at)
        except (ValueError, RecursionError):
            pass
        else:
            comma = line.find(",", end)
            value = decoded if isinstance(decoded, str) else line[at:end]
            return value, len(line) if comma < 0 else comma + 1
    comma = line.find(",", at)
    end = len(line) if comma < 0 else comma
    return line[at:end].strip(), end + 1
