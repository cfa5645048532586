"""Finds the texts that are prompts by following links from the inputs of samplers and guiders."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, Literal

from graph.schema import Input, NodeType
from graph.workflow import Link, Workflow, WorkflowNode

Side = Literal["positive", "negative"]
Key = tuple[str, str]
"""A node's id and the name of one of its inputs."""

CONDITIONING: Final = "CONDITIONING"

_SIDES: Final[Mapping[str, Side]] = {"positive": "positive", "negative": "negative"}
_POSITIVE_INPUTS: Final = ("conditioning", "cond1", "cond2", "cond", "text_embeds")
_EMPTIED: Final = "ConditioningZeroOut"
"""Takes a prompt only for its shape."""
_CARRY_NO_PROMPT: Final = frozenset(
    (
        *("MODEL", "CLIP", "VAE", "LATENT", "IMAGE", "MASK", "CONTROL_NET", "STYLE_MODEL", "GLIGEN", "UPSCALE_MODEL"),
        *("CLIP_VISION", "CLIP_VISION_OUTPUT", "NOISE", "SAMPLER", "SIGMAS", "INT", "FLOAT", "BOOLEAN", "COMBO"),
    )
)


def prompts(workflow: Workflow, registry: Mapping[str, NodeType]) -> dict[Key, Side]:
    """Return the text inputs with a value that become prompts.

    Starts at the CONDITIONING inputs of nodes that put out none (samplers, guiders) and follows links upstream through
    every node that conditions, encodes or joins texts. A text that is used on both sides is positive.
    """
    found: dict[Key, Side] = {}
    waiting = [(link, side) for link, side in _starts(workflow, registry)]
    seen: set[tuple[Link, Side]] = set()
    while waiting:
        link, side = waiting.pop()
        node = workflow.nodes.get(link.node)
        if node is None or (link, side) in seen:
            continue
        seen.add((link, side))
        node_type = registry.get(node.class_type)
        if node_type is None or node.class_type == _EMPTIED:
            continue
        for name in _texts(node, node_type):
            if found.get((link.node, name)) != "positive":
                found[link.node, name] = side
        waiting += [(further, side) for further in _upstream(node, node_type, link.output, side, workflow, registry)]
    return found


def _starts(workflow: Workflow, registry: Mapping[str, NodeType]) -> Iterator[tuple[Link, Side]]:
    for node in workflow.nodes.values():
        node_type = registry.get(node.class_type)
        if node_type is None or any(output.type == CONDITIONING for output in node_type.outputs):
            continue
        for declared in node_type.inputs:
            link = node.inputs.get(declared.name)
            if CONDITIONING not in declared.type.split(",") or not isinstance(link, Link):
                continue
            side = _SIDES.get(declared.name) or ("positive" if declared.name in _POSITIVE_INPUTS else None)
            if side is not None:
                yield link, side


def _upstream(
    node: WorkflowNode,
    node_type: NodeType,
    output: int,
    side: Side,
    workflow: Workflow,
    registry: Mapping[str, NodeType],
) -> list[Link]:
    """Return the links that bring the text of one output. A node with an input for each side has its own for each."""
    links = {
        name: link
        for name, link in node.inputs.items()
        if isinstance(link, Link) and _type_of(link, workflow, registry) not in _CARRY_NO_PROMPT
    }
    if not links.keys() >= _SIDES.keys():
        return list(links.values())
    name = node_type.outputs[output].name.lower() if 0 <= output < len(node_type.outputs) else ""
    return [links[_SIDES.get(name, side)]]


def _type_of(link: Link, workflow: Workflow, registry: Mapping[str, NodeType]) -> str:
    node = workflow.nodes.get(link.node)
    node_type = registry.get(node.class_type) if node is not None else None
    outputs = node_type.outputs if node_type is not None else ()
    return outputs[link.output].type if 0 <= link.output < len(outputs) else "*"


def _texts(node: WorkflowNode, node_type: NodeType) -> list[str]:
    """Return the node's texts; if it has multiline ones, only these: others are delimiters and file names."""
    texts = [declared for declared in node_type.inputs_under(node.inputs) if _is_text(declared, node)]
    multiline = [declared for declared in texts if declared.hints.get("multiline")]
    return [declared.name for declared in multiline or texts]


def _is_text(declared: Input, node: WorkflowNode) -> bool:
    return declared.type == "STRING" and not isinstance(node.inputs.get(declared.name), Link)
