"""Which widget each entry of ``widgets_values`` belongs to.

The list holds values without names, in the order of the node's widgets. Some widgets bring a
companion that has an entry but is no input: a seed's "control after generate", an image's upload
button. Linked widgets keep their entry.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from graph.formats.canvas import PlacedNode
from graph.schema import MISSING, Input, NodeType

_CONTROLS: Final = frozenset({"fixed", "increment", "decrement", "randomize", "increment-wrap"})
_SEEDS: Final = ("seed", "noise_seed")


def widget_values(node: PlacedNode, node_type: NodeType | None) -> dict[str, Any]:
    """The values of ``node``'s widgets by name, defaults where the file has none.

    Of a class that nobody knows (None), only what the file names itself.
    """
    if node_type is None:
        return _of_unknown_class(node)
    widgets = _widgets(node, node_type)
    values = node.widgets_values
    if isinstance(values, Mapping):
        named = {name: value for name, value in values.items() if _takes(node_type, name) and value is not None}
    else:
        named = _aligned(values, widgets)
    for declared in widgets:
        if declared.name not in named:
            default = _first_value(declared)
            if default is not MISSING:
                named[declared.name] = default
    return named


def _widgets(node: PlacedNode, node_type: NodeType) -> list[Input]:
    """The inputs that have a widget, required ones first. A file that lists every widget as a
    slot also tells which inputs of a pack's own types have one."""
    ordered = sorted(node_type.inputs, key=lambda declared: not declared.required)
    certain = {declared.name for declared in ordered if declared.has_widget}
    listed = {slot.widget for slot in node.inputs if slot.widget is not None}
    if certain <= listed:
        certain = {declared.name for declared in ordered if declared.name in listed}
    return [declared for declared in ordered if declared.name in certain]


def _takes(node_type: NodeType, name: str) -> bool:
    return node_type.accepts_extra_inputs or name in node_type.by_name


def widget_of_each_value(node: PlacedNode, node_type: NodeType | None) -> list[str | None]:
    """Return the widget that each entry of ``node``'s list of values belongs to, its companions included.

    None for entries of no known widget.
    """
    values = node.widgets_values
    if node_type is None or isinstance(values, Mapping):
        return [None] * len(values)
    found: list[str | None] = [None] * len(values)
    places = _places(values, _widgets(node, node_type))
    for index, (declared, place) in enumerate(places):
        end = places[index + 1][1] if index + 1 < len(places) else len(values)
        found[place:end] = [declared.name] * (end - place)
    return found


def _aligned(values: Sequence[Any], widgets: Sequence[Input]) -> dict[str, Any]:
    return {declared.name: values[place] for declared, place in _places(values, widgets) if values[place] is not None}


def _places(values: Sequence[Any], widgets: Sequence[Input]) -> list[tuple[Input, int]]:
    """Each widget that has an entry in ``values``, and its place there."""
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
            # A choice's control comes with a filter, one more text.
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


def _has_control(declared: Input) -> bool:
    if declared.type == "INT":
        return bool(declared.hints.get("control_after_generate", declared.name in _SEEDS))
    return declared.type == "COMBO" and bool(declared.hints.get("control_after_generate"))


def _first_value(declared: Input) -> Any:
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
    # Entries left over: the file does not name all widgets, so nothing says which is which.
    return {name: value for name, value in named.items() if value is not None} if at == len(values) else {}
