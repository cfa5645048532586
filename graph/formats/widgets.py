"""Finds the widget that each entry of ``widgets_values`` belongs to.

The list holds values without names, in the order of the node's widgets. Some widgets have a
companion with an entry but without an input: a seed's "control after generate", an image's upload
button. Linked widgets keep their entry.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from graph.formats.canvas import PlacedNode
from graph.formats.listed_choices import texts_in_values, with_positions
from graph.input_groups import CHOICE_WITH_INPUTS
from graph.schema import MISSING, WIDGET_TYPES, Input, NodeType

_CONTROLS: Final = frozenset({"fixed", "increment", "decrement", "randomize", "increment-wrap"})
_SEEDS: Final = ("seed", "noise_seed")


def widget_values(node: PlacedNode, node_type: NodeType | None) -> dict[str, Any]:
    """Return the values of ``node``'s widgets by name, with defaults where the file has none.

    For an unknown class (None), return only the values that the file names itself.
    """
    if node_type is None:
        return _of_unknown_class(node)
    widgets = ordered_widgets(node, node_type)
    values = node.widgets_values
    if isinstance(values, Mapping):
        named = {name: value for name, value in values.items() if _takes(node_type, name) and value is not None}
    else:
        named = _aligned(values, widgets)
        own_choice = next((declared for declared in widgets if declared.listed_in), None)
        if own_choice is not None and len(widgets) == 1:
            named |= texts_in_values(values, own_choice)
        takes_any = node_type.accepts_extra_inputs and node_type.accepts_extra_literals
        listed = {slot.widget for slot in node.inputs if slot.widget is not None}
        if takes_any and listed > {declared.name for declared in widgets}:
            # The slots name the widgets that the class does not declare, in the order of the values.
            named |= _by_listed_widgets(node, values)
    for declared in widgets:
        if declared.name not in named:
            default = first_value(declared)
            if default is not MISSING:
                named[declared.name] = default
    return with_positions(named, node_type)


def widget_place(node: PlacedNode, node_type: NodeType | None, name: str) -> int | None:
    """Return the index in ``widgets_values`` of the widget's value; None if the list has no such entry."""
    if node_type is None or isinstance(node.widgets_values, Mapping):
        return None
    places = _places(node.widgets_values, ordered_widgets(node, node_type))
    return next((place for declared, place in places if declared.name == name), None)


def ordered_widgets(node: PlacedNode, node_type: NodeType) -> list[Input]:
    """Return the inputs that have a widget, required ones first. In a file that lists every widget as a slot, the slots
    also show which inputs of a pack's own types have one."""
    groups = node_type.extra.get("input")
    if isinstance(groups, Mapping):
        names, choices = _chosen_inputs(node, groups)
        known = (node_type.by_name[name] for name in names if name in node_type.by_name)
        ordered = [found for declared in known if (found := declared.under(choices)) is not None]
    else:
        ordered = sorted(node_type.inputs, key=lambda declared: not declared.required)
    certain = {declared.name for declared in ordered if declared.has_widget}
    listed = {slot.widget for slot in node.inputs if slot.widget is not None}
    if certain <= listed:
        certain = {declared.name for declared in ordered if declared.name in listed}
    return [declared for declared in ordered if declared.name in certain]


def _chosen_inputs(node: PlacedNode, groups: Mapping[str, Any]) -> tuple[list[str], dict[str, str]]:
    """Return the names of a node's inputs, in the editor's order, and the choices that bring some of them.

    The inputs of the chosen value follow the choice. ``groups`` is the node's ``input`` in /object_info.
    """
    values = node.widgets_values
    names: list[str] = []
    choices: dict[str, str] = {}
    at = 0

    def walk(inputs: Mapping[str, Any], prefix: str) -> None:
        nonlocal at
        for group in ("required", "optional"):
            for name, entry in (inputs.get(group) or {}).items():
                kind, options = entry[0], entry[1] if len(entry) > 1 else {}
                names.append(prefix + name)
                if kind == CHOICE_WITH_INPUTS:
                    value = values.get(prefix + name) if isinstance(values, Mapping) else _at(values, at)
                    at += 1
                    listed = options.get("options", ())
                    option = next((each for each in listed if each["key"] == value), listed[0] if listed else None)
                    if option is not None:
                        choices[prefix + name] = option["key"]
                        walk(option.get("inputs") or {}, f"{prefix}{name}.")
                elif (isinstance(kind, list) or kind in WIDGET_TYPES) and not options.get("forceInput"):
                    at += 1
                    controlled = options.get("control_after_generate", name in _SEEDS)
                    value = _at(values, at) if controlled and not isinstance(values, Mapping) else None
                    if isinstance(value, str) and value in _CONTROLS:
                        at += 1

    walk(groups, "")
    return names, choices


def _at(values: Sequence[Any], index: int) -> Any:
    return values[index] if index < len(values) else None


def _takes(node_type: NodeType, name: str) -> bool:
    return node_type.accepts_extra_inputs or name in node_type.by_name


def inner_widgets(node: PlacedNode, node_type: NodeType | None) -> list[Input | None]:
    """Return the widgets of a node inside a group node.

    For an unknown class, None for each of its values, companions included: they have no names.
    """
    if node_type is not None:
        return list(ordered_widgets(node, node_type))
    return [] if isinstance(node.widgets_values, Mapping) else [None] * len(node.widgets_values)


def shared_places(values: Sequence[Any], widgets: Sequence[Input | None]) -> tuple[list[int], bool]:
    """Find the widgets of several nodes in one list of values, with or without companions.

    Returns the index of each widget's value, as far as the list goes, and whether the list holds exactly these widgets.
    """
    places = _places(values, [widget or Input("", "*") for widget in widgets])
    end = places[-1][1] + 1 if places else 0
    if places and end < len(values) and _is_companion(values[end], places[-1][0], None, True):
        end += 1
    return [place for _, place in places], len(places) == len(widgets) and end == len(values)


def _aligned(values: Sequence[Any], widgets: Sequence[Input]) -> dict[str, Any]:
    return {declared.name: values[place] for declared, place in _places(values, widgets) if values[place] is not None}


def _places(values: Sequence[Any], widgets: Sequence[Input]) -> list[tuple[Input, int]]:
    """Return each widget that has an entry in ``values``, and the entry's index."""
    found: list[tuple[Input, int]] = []
    at = 0
    for index, declared in enumerate(widgets):
        if at >= len(values):
            break
        found.append((declared, at))
        at += 1
        later = widgets[index + 1 :]
        spare = len(values) - at > len(later)
        follows = later[0] if later else None
        if at < len(values) and _is_companion(values[at], declared, follows, spare):
            at += 1
            # The control of a choice comes with a filter, which is one more text entry.
            if declared.type == "COMBO" and _has_control(declared) and len(values) - at > len(later):
                at += 1
    return found


def _is_companion(value: Any, of: Input, follows: Input | None, spare: bool) -> bool:
    if _has_control(of):
        # Files of early 2023 have true or false here.
        old = isinstance(value, bool) and (follows is None or follows.type != "BOOLEAN")
        expected = old or (isinstance(value, str) and value in _CONTROLS)
    else:
        uploads = {key.removesuffix("_upload") for key, on in of.hints.items() if key.endswith("_upload") and on}
        expected = isinstance(value, str) and value in uploads
    if not expected:
        return False
    return spare or follows is None or value not in (follows.choices or ())


def companions(declared: Input) -> list[str]:
    """Return the entries that an editor writes after the value of this widget: a seed's control, an upload button."""
    if _has_control(declared):
        return ["fixed", ""] if declared.type == "COMBO" else ["fixed"]
    return [key.removesuffix("_upload") for key, on in declared.hints.items() if key.endswith("_upload") and on][:1]


def _has_control(declared: Input) -> bool:
    if declared.type == "INT":
        return bool(declared.hints.get("control_after_generate", declared.name in _SEEDS))
    return declared.type == "COMBO" and bool(declared.hints.get("control_after_generate"))


def first_value(declared: Input) -> Any:
    """Return the value that the editor shows in a new widget."""
    if declared.default is not MISSING:
        return declared.default
    if declared.choices:
        return declared.choices[0]
    if declared.type in ("INT", "FLOAT"):
        return max(0, declared.minimum or 0)
    return {"STRING": "", "BOOLEAN": False}.get(declared.type, MISSING)


def _of_unknown_class(node: PlacedNode) -> dict[str, Any]:
    values = node.widgets_values
    if isinstance(values, Mapping):
        return {name: value for name, value in values.items() if value is not None}
    return _by_listed_widgets(node, values)


def _by_listed_widgets(node: PlacedNode, values: Sequence[Any]) -> dict[str, Any]:
    """Return the values by the names of the widgets that the slots list; nothing if some values belong to none."""
    slots = [slot for slot in node.inputs if slot.widget is not None]
    named: dict[str, Any] = {}
    at = 0
    for index, slot in enumerate(slots):
        if at >= len(values):
            return {}
        named[slot.widget or slot.name] = values[at]
        at += 1
        if len(values) - at > len(slots) - index - 1 and isinstance(values[at], str) and values[at] in _CONTROLS:
            at += 1
    # Some entries are left over. The file does not name all widgets, so they cannot be assigned.
    return {name: value for name, value in named.items() if value is not None} if at == len(values) else {}
