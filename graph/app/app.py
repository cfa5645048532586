"""Decides which fields and outputs a workflow has as an app."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from graph.app.choice import Choice, ChosenField, read_choice
from graph.app.kinds import Kind, begins_empty, kind_of, samples
from graph.app.places import Place, places
from graph.app.prompts import prompts
from graph.formats.editor import is_editor_document
from graph.schema import Input, NodeType
from graph.workflow import Link, Workflow, WorkflowNode

_ORDER: Final[tuple[Kind, ...]] = (
    *("prompt", "negative", "picture", "size", "model", "lora", "strength"),
    *("steps", "guidance", "sampler", "scheduler", "denoise", "seed", "count", "text"),
)
"""The kinds of the form's main part, in its order."""
_ONCE: Final[tuple[Kind, ...]] = ("steps", "guidance", "sampler", "scheduler", "seed", "count")
"""Kinds of which the main part has only the first node's fields: a second sampler's are under "More"."""
_FOLLOWS: Final[Mapping[Kind, Kind]] = {"strength": "lora"}


@dataclass(frozen=True, slots=True)
class Field:
    """One field of the form.

    ``place`` is the widget of the document that has the value. ``targets`` are the (node id, input name) of the run
    that get it, the first one being ``declared``. ``title`` names the node. ``main`` fields are shown at once, the
    others under "More". ``mask``: a picture whose mask is used. ``entry`` is the index in the author's list, and
    ``height`` a text's height in it, in pixels.
    """

    place: Place
    targets: tuple[tuple[str, str], ...]
    declared: Input
    kind: Kind
    title: str
    value: Any
    main: bool
    mask: bool = False
    height: float | None = None
    entry: int | None = None


@dataclass(frozen=True, slots=True)
class Output:
    """A node whose results the app shows. ``saves``: it keeps files; ``main``: shown unless the user asks for more."""

    node: str
    title: str
    saves: bool
    main: bool


@dataclass(frozen=True, slots=True)
class App:
    """The form and the outputs. ``chosen``: the author chose the main fields; ``opens_as_app``: the file says whether
    it is opened as an app, None if it does not."""

    fields: tuple[Field, ...]
    outputs: tuple[Output, ...]
    chosen: bool = False
    opens_as_app: bool | None = None


def read_app(workflow: Workflow, registry: Mapping[str, NodeType]) -> App:
    """Return the app of a workflow, which :func:`graph.formats.load` has read.

    If it was read from an editor's document, fields are places in that document, and the author's choice in it decides
    which are main and in which order. Without a choice these are prompts, pictures, size, models and LoRAs with their
    strengths, steps, guidance, sampler, scheduler and seed of the first sampler, denoise where it redraws something,
    the number of pictures, and choices among texts that the workflow lists itself; where nothing is sampled, texts,
    too. A workflow without any of these has only main fields. Nodes that no output needs have no fields. Raises
    FormatError.
    """
    document = workflow.editor if workflow.editor is not None and is_editor_document(workflow.editor) else None
    running = Workflow({node_id: workflow.nodes[node_id] for node_id in _run_order(workflow, registry)})
    found = places(document, registry) if document is not None else {}
    choice = read_choice(document) if document is not None else Choice()
    fed = _fed_by_values(running, registry)
    fields = _fields(running, registry, fed, found if document is not None else None)
    chosen = _chosen(choice.inputs, fields)
    fields = chosen or _by_default(fields, fed, running, registry)
    return App(tuple(fields), _outputs(running, registry, choice), bool(chosen), choice.opens_as_app)


def _run_order(workflow: Workflow, registry: Mapping[str, NodeType]) -> list[str]:
    """Return the nodes that outputs need, those with the fewest nodes before them first, as the file orders them."""
    outputs = [
        node_id
        for node_id, node in workflow.nodes.items()
        if (node_type := registry.get(node.class_type)) is not None and node_type.output_node
    ]
    depths: dict[str, int] = {}
    entered: set[str] = set()
    waiting = [(start, False) for start in outputs or workflow.nodes]
    while waiting:
        node_id, left = waiting.pop()
        if node_id not in workflow.nodes or (not left and node_id in entered):
            continue
        links = [value.node for value in workflow.nodes[node_id].inputs.values() if isinstance(value, Link)]
        if left:
            depths[node_id] = 1 + max((depths.get(link, 0) for link in links), default=0)
        else:
            entered.add(node_id)
            waiting += [(node_id, True), *((link, False) for link in links)]
    return sorted((node_id for node_id in workflow.nodes if node_id in depths), key=depths.__getitem__)


def _fed_by_values(workflow: Workflow, registry: Mapping[str, NodeType]) -> dict[str, tuple[str, Input]]:
    """Return the first input that each node of a single value feeds (Int, String, …): its node and declaration."""
    found: dict[str, tuple[str, Input]] = {}
    for node_id, node in workflow.nodes.items():
        node_type = registry.get(node.class_type)
        for name, link in node.inputs.items():
            if node_type is None or name not in node_type.by_name or not isinstance(link, Link):
                continue
            origin = workflow.nodes.get(link.node)
            origin_type = registry.get(origin.class_type) if origin is not None else None
            if origin_type is not None and len(origin_type.inputs) == 1 and origin_type.inputs[0].has_widget:
                found.setdefault(link.node, (node_id, node_type.by_name[name]))
    return found


def _fields(
    workflow: Workflow,
    registry: Mapping[str, NodeType],
    fed: Mapping[str, tuple[str, Input]],
    found: Mapping[tuple[str, str], Place] | None,
) -> list[Field]:
    """Return all fields in the order of the run; one widget that sets several inputs is one field."""
    sides = prompts(workflow, registry)
    fields: dict[tuple[str, str, str, str | None], Field] = {}
    for node_id, node in workflow.nodes.items():
        node_type = registry.get(node.class_type)
        for declared in node_type.inputs_under(node.inputs) if node_type is not None else ():
            value = node.inputs.get(declared.name)
            if node_type is None or declared.hidden or isinstance(value, Link) or declared.name not in node.inputs:
                continue
            target = (node_id, declared.name)
            place = Place(node_id, declared.name, title=node.title) if found is None else found.get(target)
            if place is None:
                continue
            known = fields.get(place.widget)
            if known is not None:
                fields[place.widget] = replace(known, targets=(*known.targets, target))
                continue
            kind = kind_of(declared, node_type)
            if node_id in fed and kind in ("other", "text") and not declared.listed_in:
                consumer, consumed = fed[node_id]
                kind = kind_of(consumed, registry[workflow.nodes[consumer].class_type])
            if target in sides:
                kind = "prompt" if sides[target] == "positive" else "negative"
            title = place.title or node.title or node_type.display_name or node.class_type
            mask = kind == "picture" and _mask_is_used(node_id, node_type, workflow)
            fields[place.widget] = Field(place, (target,), declared, kind, title, value, False, mask)
    return list(fields.values())


def _mask_is_used(node_id: str, node_type: NodeType, workflow: Workflow) -> bool:
    masks = {Link(node_id, index) for index, output in enumerate(node_type.outputs) if output.type == "MASK"}
    return any(
        value in masks for node in workflow.nodes.values() for value in node.inputs.values() if isinstance(value, Link)
    )


def _by_default(
    fields: Sequence[Field],
    fed: Mapping[str, tuple[str, Input]],
    workflow: Workflow,
    registry: Mapping[str, NodeType],
) -> list[Field]:
    """Put the main fields first, ordered by kind; the others stay in the order of the run."""

    def id_of(field: Field) -> str:
        node_id = field.targets[0][0]
        return fed[node_id][0] if node_id in fed else node_id

    def node_of(field: Field) -> WorkflowNode:
        return workflow.nodes[id_of(field)]

    first: dict[Kind, str] = {}
    for sampling in (True, False):
        for field in fields:
            if field.kind in _ONCE and samples(registry[node_of(field).class_type]) == sampling:
                first.setdefault(field.kind, id_of(field))
    draws = any(samples(registry[node_of(field).class_type]) for field in fields)

    def is_main(field: Field) -> bool:
        if field.declared.listed_in:
            return True
        if field.kind in _ONCE:
            return first[field.kind] == id_of(field) or (field.kind == "steps" and not draws)
        if field.kind == "text":
            return not draws
        if field.kind == "denoise":
            return _redraws(node_of(field), workflow, registry)
        return field.kind in _ORDER

    main = [replace(field, main=True) for field in fields if is_main(field)]
    if not main:
        return [replace(field, main=True) for field in fields]
    places_of = {field.place.widget: index for index, field in enumerate(main)}
    ranks = {kind: rank for rank, kind in enumerate((*_ORDER, "other"))}

    def rank(field: Field) -> tuple[int, int, int]:
        """A strength stands after the LoRA of its node."""
        leader = _FOLLOWS.get(field.kind, field.kind)
        node = field.targets[0][0]
        at = min(
            (places_of[other.place.widget] for other in main if other.kind == leader and other.targets[0][0] == node),
            default=places_of[field.place.widget],
        )
        return (ranks[leader], at, places_of[field.place.widget])

    shown = {field.place.widget for field in main}
    return [*sorted(main, key=rank), *(field for field in fields if field.place.widget not in shown)]


def _redraws(node: WorkflowNode, workflow: Workflow, registry: Mapping[str, NodeType]) -> bool:
    """Whether a sampler begins with a latent that is not empty."""
    for declared in registry[node.class_type].inputs:
        link = node.inputs.get(declared.name)
        if declared.type == "LATENT" and isinstance(link, Link) and link.node in workflow.nodes:
            origin = registry.get(workflow.nodes[link.node].class_type)
            return origin is not None and not begins_empty(origin)
    return False


def _chosen(entries: Sequence[ChosenField], fields: Sequence[Field]) -> list[Field]:
    """Return the author's fields in their order, then the others; nothing if no entry names a field."""
    chosen: dict[tuple[str, str, str, str | None], Field] = {}
    for entry in entries:
        field = next((found for name in entry.names if (found := _named(name, fields)) is not None), None)
        if field is not None:
            chosen.setdefault(field.place.widget, replace(field, main=True, height=entry.height, entry=entry.index))
    if not chosen:
        return []
    return [*chosen.values(), *(field for field in fields if field.place.widget not in chosen)]


def _named(name: tuple[str, str], fields: Sequence[Field]) -> Field | None:
    """Return the field of a node at the top level, or the only one for a node of this id inside subgraphs."""
    for field in fields:
        if (field.place.node, field.place.name) == name:
            return field
    node, given = name
    inside = [
        field
        for field in fields
        if any(target.rpartition(":")[2] == node and own == given for target, own in field.targets)
    ]
    return inside[0] if len(inside) == 1 else None


def _outputs(workflow: Workflow, registry: Mapping[str, NodeType], choice: Choice) -> tuple[Output, ...]:
    """Return the output nodes, the main ones first: those that the author chose, or else those that save files."""
    found = []
    for node_id, node in workflow.nodes.items():
        node_type = registry.get(node.class_type)
        if node_type is not None and node_type.output_node:
            title = node.title or node_type.display_name or node.class_type
            found.append(Output(node_id, title, "filename_prefix" in node_type.by_name, False))
    chosen = [
        output
        for wanted in choice.outputs
        for output in found
        if output.node == wanted or output.node.startswith(f"{wanted}:")
    ]
    main = list(dict.fromkeys(chosen)) or [output for output in found if output.saves] or found
    return (*(replace(output, main=True) for output in main), *(output for output in found if output not in main))
