"""Reads the values of a sweep's axis: a list, or a text such as ``3,5,7``, ``1..10``, ``all`` or ``red|blue``.

Numbers are separated by commas. ``A..B`` counts from A to B in units of the last digit written: ``1..10`` are ten
values, ``0.5..0.9`` five. After a single number, ``A..B`` goes on in the same steps: ``1,3..9`` is 1, 3, 5, 7, 9.

Choices are separated by commas, too. ``all`` means every choice (also ``all samplers``), and ``dpmpp_*`` every
choice that begins so. ``all`` also means both values of a switch.

In a text field only ``|`` separates, and ``\\|`` stands for a bar. If the field's text contains the first entry, each
entry replaces it there, as in AUTOMATIC1111's "Prompt S/R": with ``red|blue`` the text "a red car" becomes "a red car"
and "a blue car". If not, each entry is a whole text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from typing import Any, Final, NamedTuple

from graph.errors import InputFileError
from graph.folders import Folders
from graph.schema import Input

MOST_VALUES: Final = 1000
"""Largest number of values of one axis."""

_MOST_DIGITS: Final = 40
_LONGEST_LABEL: Final = 200

_NUMBER: Final = r"[-+]?(?:\d+(?:\.\d+)?|\.\d+)(?:[eE][-+]?\d+)?"
_RANGE: Final = re.compile(rf"({_NUMBER})\s*\.\.\s*({_NUMBER})")
_ONE_NUMBER: Final = re.compile(_NUMBER)
_ALL: Final = re.compile(r"\*|all(?:\s+\w+)?", re.IGNORECASE)
_BARS: Final = re.compile(r"(?<!\\)\|")


class ValueTextError(ValueError):
    """A text that does not describe values. ``expected`` says what would.

    ``reason`` is a name for this kind of error, and ``facts`` are the values in its message, so that an editor can say
    it in another language.
    """

    def __init__(self, message: str, expected: str, reason: str, **facts: str | int):
        super().__init__(message)
        self.expected = expected
        self.reason = reason
        self.facts = facts


class Values(NamedTuple):
    """The values of one axis, and the label of each."""

    values: tuple[Any, ...]
    labels: tuple[str, ...]


def values_in_text(text: str, declared: Input, current: Any, folders: Folders | None) -> Values:
    """Return the values that ``text`` lists for the input ``declared``, whose value in the workflow is ``current``.

    A JSON list is accepted for all but text fields. Raises ValueTextError.
    """
    types = set(declared.type.split(","))
    if "STRING" in types:
        return _words(text, current)
    listed = _json_list(text)
    if listed is not None:
        return values_in_list(listed)
    if declared.type == "COMBO":
        chosen = _choices(text, choices_of(declared, folders))
    elif types & {"INT", "FLOAT"}:
        chosen = tuple(_numbers(text, whole="FLOAT" not in types))
    elif "BOOLEAN" in types:
        chosen = tuple(_switch(text))
    else:
        raise ValueTextError(
            f"{_shown(text)} cannot be read as values of type {declared.type}", "a list in JSON", "not_readable"
        )
    return values_in_list(chosen)


def values_in_list(values: Sequence[Any]) -> Values:
    """Return ``values`` with their labels. Raises ValueTextError for none and for too many."""
    if not values:
        raise ValueTextError("there are no values", "at least one", "no_values")
    if len(values) > MOST_VALUES:
        raise _too_many(len(values))
    return Values(tuple(values), tuple(map(label_of, values)))


def _too_many(count: int) -> ValueTextError:
    return ValueTextError(f"there are {count} values", f"at most {MOST_VALUES}", "too_many", most=MOST_VALUES)


def label_of(value: Any) -> str:
    """Return the text that stands for ``value`` beside a picture."""
    if isinstance(value, str):
        text = " ".join(value.split()) or "(empty)"
        return text if len(text) <= _LONGEST_LABEL else f"{text[:_LONGEST_LABEL]}…"
    if isinstance(value, float):
        return repr(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
    return json.dumps(value, ensure_ascii=False)


def choices_of(declared: Input, folders: Folders | None) -> list[Any]:
    """Return the choices of a COMBO; those that name files are listed now."""
    choices = list(declared.choices or ())
    if declared.files is not None and folders is not None:
        try:
            choices += folders.names(declared.files, declared.file_endings)
        except InputFileError:  # this installation has no such folder, so it offers no choice
            return choices
    return choices


# -- numbers -------------------------------------------------------------------------------------------------------


def _numbers(text: str, whole: bool) -> Iterator[int | float]:
    as_value: Callable[[Decimal], int | float] = int if whole else float
    before: Decimal | None = None
    count = 0
    for item in re.split("[,，]", text):
        item = item.strip().replace("…", "..")
        found = _RANGE.fullmatch(item)
        if found is not None:
            numbers = _counted(_decimal(found[1]), _decimal(found[2]), before, item)
        elif _ONE_NUMBER.fullmatch(item):
            numbers = iter((_decimal(item),))
        else:
            raise ValueTextError(
                f"{_shown(item)} is not a number" if item else "a number is missing",
                "numbers, such as 3,5,7 or 1..10 or 1,3..9",
                "not_a_number" if item else "number_missing",
                text=item,
            )
        for number in numbers:
            if whole and number != number.to_integral_value():
                raise ValueTextError(f"{number} is not a whole number", "whole numbers", "not_whole", text=str(number))
            count += 1
            before = number if found is None else None
            if count > MOST_VALUES:
                raise ValueTextError(
                    f"{_shown(text)} is more than {MOST_VALUES} values",
                    f"at most {MOST_VALUES}",
                    "too_many",
                    most=MOST_VALUES,
                )
            yield as_value(number)


def _decimal(text: str) -> Decimal:
    number = Decimal(text)
    if abs(number.adjusted()) > _MOST_DIGITS:
        raise ValueTextError(
            f"{_shown(text)} is too large or too small a number",
            f"at most {_MOST_DIGITS} digits",
            "number_too_large",
            text=text,
        )
    return number


def _counted(first: Decimal, last: Decimal, before: Decimal | None, item: str) -> Iterator[Decimal]:
    """Count from ``first`` to ``last``, in the step from ``before`` to ``first``, or in units of the last digit."""
    if before is None:
        places = max(0, -int(first.as_tuple().exponent), -int(last.as_tuple().exponent))
        step = Decimal(1).scaleb(-places) * (1 if last >= first else -1)
    else:
        step = first - before
    if step == 0 or (last != first and (last > first) != (step > 0)):
        raise ValueTextError(
            f"{_shown(item)} never arrives at {last} in steps of {step}",
            "a range such as 1,3..9",
            "never_arrives",
            text=item,
            last=str(last),
            step=str(step),
        )
    number = first
    while (number <= last) if step > 0 else (number >= last):
        yield number
        number += step


# -- choices and switches ------------------------------------------------------------------------------------------


def _choices(text: str, choices: Sequence[Any]) -> tuple[Any, ...]:
    by_text = {str(choice): choice for choice in choices}
    whole = text.strip()
    if whole in by_text:  # a choice with a comma in its name
        return (by_text[whole],)
    found: list[Any] = []
    for item in _items(text, by_text):
        if item in by_text:
            found.append(by_text[item])
        elif _ALL.fullmatch(item):
            found += choices
        elif "*" in item:
            pattern = re.compile(".*".join(map(re.escape, item.split("*"))), re.DOTALL)
            matching = [choice for name, choice in by_text.items() if pattern.fullmatch(name)]
            if not matching:
                raise ValueTextError(f"no choice matches {_shown(item)}", _listed(by_text), "no_match", text=item)
            found += matching
        else:
            found.append(item)  # validation reports it, with the nearest choices
    return tuple({str(choice): choice for choice in found}.values())


def _items(text: str, known: dict[str, Any]) -> Iterator[str]:
    """Split ``text`` at commas, but not inside the name of a choice."""
    parts = re.split("[,，]", text)
    at = 0
    while at < len(parts):
        for end in range(len(parts), at, -1):
            joined = ",".join(parts[at:end]).strip()
            if joined in known or end == at + 1:
                if not joined:
                    raise ValueTextError("a choice is missing", _listed(known), "choice_missing")
                yield joined
                at = end
                break


def _switch(text: str) -> Iterator[bool]:
    for item in re.split("[,，]", text):
        word = item.strip().lower()
        if _ALL.fullmatch(word):
            yield from (False, True)
        elif word in ("true", "false"):
            yield word == "true"
        else:
            raise ValueTextError(
                f"{_shown(item.strip())} is neither true nor false",
                "true, false or all",
                "not_a_switch",
                text=item.strip(),
            )


# -- texts ---------------------------------------------------------------------------------------------------------


def _words(text: str, current: Any) -> Values:
    entries = [entry.replace("\\|", "|").strip() for entry in _BARS.split(text)]
    if len(entries) > MOST_VALUES:
        raise _too_many(len(entries))
    labels = tuple(map(label_of, entries))
    sought = entries[0]
    if isinstance(current, str) and sought and len(entries) > 1:
        places = _places_of(sought, current)
        if places:
            return Values(tuple(_replaced(current, places, len(sought), entry) for entry in entries), labels)
    return Values(tuple(entries), labels)


def _places_of(sought: str, text: str) -> list[int]:
    """Return where ``sought`` stands in ``text`` as a separate word; if nowhere, its places inside words."""
    places = [found.start() for found in re.finditer(re.escape(sought), text)]
    whole = [at for at in places if not _inside_a_word(text, at, at + len(sought))]
    return whole or places


def _inside_a_word(text: str, start: int, end: int) -> bool:
    return (start > 0 and _joined(text[start - 1], text[start])) or (
        end < len(text) and _joined(text[end - 1], text[end])
    )


def _joined(left: str, right: str) -> bool:
    """Whether two neighbouring characters belong to one word. Chinese, which has no spaces, has no such words here."""
    return all(character.isdigit() or character.lower() != character.upper() for character in (left, right))


def _replaced(text: str, places: Sequence[int], length: int, entry: str) -> str:
    parts, at = [], 0
    for place in places:
        parts += [text[at:place], entry]
        at = place + length
    return "".join([*parts, text[at:]])


def _json_list(text: str) -> list[Any] | None:
    if not text.lstrip().startswith("["):
        return None
    try:
        found = json.loads(text)
    except ValueError:
        return None
    return found if isinstance(found, list) else None


def _listed(names: Sequence[str] | dict[str, Any]) -> str:
    shown = list(names)[:8]
    return f"one of {', '.join(shown)}{' …' if len(names) > 8 else ''}" if shown else "a choice, but there is none"


def _shown(text: str, limit: int = 60) -> str:
    return repr(text if len(text) <= limit else f"{text[:limit]}…")
