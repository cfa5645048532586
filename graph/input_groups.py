"""Groups of inputs that change with use: choices that bring inputs with them, and inputs that grow as they are linked.

ComfyUI calls them DynamicCombo and Autogrow. The engine sees flat inputs named ``group.member``; the editor sees the
groups; a node's function gets each group as one dict.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, TypeAlias

from graph.schema import MISSING, Input

CHOICE_WITH_INPUTS: Final = "COMFY_DYNAMICCOMBO_V3"
GROWING_INPUTS: Final = "COMFY_AUTOGROW_V3"
"""The types by which ComfyUI's editor knows the groups."""

Declared: TypeAlias = "Input | GrowingInputs | ChoiceWithInputs"


@dataclass(frozen=True)
class GrowingInputs:
    """As many inputs like ``member`` as are linked, at least ``minimum``: ``name.prefix0`` … or ``name.a`` ….

    The function gets a dict of the values by ``prefix0`` … or ``a`` ….
    """

    name: str
    member: Input
    members: tuple[str, ...]
    minimum: int = 1
    prefix: str | None = None

    @classmethod
    def numbered(cls, name: str, member: Input, prefix: str, maximum: int, minimum: int = 1) -> GrowingInputs:
        """Inputs called ``prefix0``, ``prefix1`` …"""
        return cls(name, member, tuple(f"{prefix}{number}" for number in range(maximum)), minimum, prefix)


@dataclass(frozen=True)
class ChoiceWithInputs:
    """A choice whose values each add inputs, named ``name.input``.

    The function gets a dict of the choice, under ``name``, and the inputs of the chosen value, defaults filled in.
    """

    name: str
    options: Mapping[str, Sequence[Declared]]


def flat_inputs(declared: Sequence[Declared], prefix: str = "") -> Iterator[Input]:
    """Return the inputs that the engine sees. Inputs that depend on a choice hold one declaration for each value."""
    for each in declared:
        if isinstance(each, GrowingInputs):
            for number, member in enumerate(each.members):
                name = f"{prefix}{each.name}.{member}"
                required = each.member.required and number < each.minimum
                yield replace(each.member, name=name, parameter=name, required=required)
        elif isinstance(each, ChoiceWithInputs):
            name = prefix + each.name
            yield Input(name, "COMBO", choices=tuple(each.options), combo_object=True, parameter=name)
            options = {key: flat_inputs(members, f"{name}.") for key, members in each.options.items()}
            yield from inputs_of_options(name, options)
        else:
            name = prefix + each.name
            yield replace(each, name=name, parameter=name)


def inputs_of_options(choice: str, options: Mapping[str, Iterable[Input]]) -> Iterator[Input]:
    """Return the inputs that the values of the input ``choice`` bring, each name once.

    Several values may bring an input of the same name with other choices, bounds or types.
    :meth:`graph.schema.Input.under` returns the declaration of the chosen value. A value with a default or choices may
    be left out of a workflow.
    """
    found: dict[str, dict[str, Input | None]] = {}
    for key, members in options.items():
        for member in members:
            filled_in = member.default is not MISSING or bool(member.choices)
            required = member.required and not filled_in
            found.setdefault(member.name, dict.fromkeys(options))[key] = replace(member, required=required)
    for by_choice in found.values():
        yield _for_all_values(choice, by_choice)


def _for_all_values(choice: str, by_choice: Mapping[str, Input | None]) -> Input:
    """Return an input that takes everything that one of the declarations takes."""
    members = [member for member in by_choice.values() if member is not None]
    kinds = dict.fromkeys(kind for member in members for kind in member.type.split(","))
    lows = [member.minimum for member in members if member.minimum is not None]
    highs = [member.maximum for member in members if member.maximum is not None]
    # A list of names is complete only if every declaration has one, and all of them read one folder.
    closed = all(member.choices is not None or member.files is not None for member in members)
    closed = closed and len({(member.files, member.file_endings) for member in members}) == 1
    choices = tuple(value for member in members for value in member.choices or ())
    return replace(
        members[0],
        type="*" if "*" in kinds else ",".join(kinds),
        required=False,
        default=MISSING,
        minimum=min(lows) if len(lows) == len(members) else None,
        maximum=max(highs) if len(highs) == len(members) else None,
        choices=_once(choices) if closed and any(member.choices is not None for member in members) else None,
        files=members[0].files if closed else None,
        lazy=any(member.lazy for member in members),
        choice=choice,
        by_choice=by_choice,
    )


def _once(values: Sequence[Any]) -> tuple[Any, ...]:
    kept: list[Any] = []
    for value in values:
        if value not in kept:
            kept.append(value)
    return tuple(kept)


def arguments_of(declared: Sequence[Declared], given: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """The arguments of the function from the values of flat inputs: each group in one dict."""
    arguments: dict[str, Any] = {}
    for each in declared:
        name = prefix + each.name
        if isinstance(each, GrowingInputs):
            members = {member: given[f"{name}.{member}"] for member in each.members if f"{name}.{member}" in given}
            arguments[each.name] = members
        elif isinstance(each, ChoiceWithInputs):
            chosen = given.get(name, next(iter(each.options)))
            inner = arguments_of(each.options.get(chosen, ()), given, f"{name}.")
            arguments[each.name] = {each.name: chosen, **inner}
        elif name in given:
            arguments[each.name] = given[name]
        elif each.default is not MISSING:
            arguments[each.name] = each.default
        elif each.choices:
            arguments[each.name] = each.choices[0]
    return arguments


def described_groups(declared: Sequence[Declared], describe: Any) -> dict[str, Any]:
    """``input`` and ``input_order`` of a node's entry in /object_info, with the groups as ComfyUI's editor takes them.

    ``describe(input)`` gives the entry of an ordinary input.
    """

    def entry(each: Declared) -> list[Any]:
        if isinstance(each, GrowingInputs):
            inner = _grouped([each.member], entry)
            names = {"names": list(each.members)} if each.prefix is None else {"prefix": each.prefix}
            limits = {"min": each.minimum, "max": len(each.members)} if each.prefix else {"min": each.minimum}
            return [GROWING_INPUTS, {"template": {"input": inner, **names, **limits}}]
        if isinstance(each, ChoiceWithInputs):
            options = [{"key": key, "inputs": _grouped(members, entry)} for key, members in each.options.items()]
            return [CHOICE_WITH_INPUTS, {"options": options}]
        found: list[Any] = describe(each)
        return found

    shown = _grouped(declared, entry)
    return {"input": shown, "input_order": {group: list(inputs) for group, inputs in shown.items()}}


def _grouped(declared: Sequence[Declared], entry: Any) -> dict[str, dict[str, Any]]:
    groups: dict[str, dict[str, Any]] = {"required": {}, "optional": {}}
    for each in declared:
        required = each.required if isinstance(each, Input) else True
        groups["required" if required else "optional"][each.name] = entry(each)
    return groups
