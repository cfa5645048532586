"""Nodes return contiguous tensors: packs call ``.view`` on them, and random values are drawn in the same order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch

from graph.context import executing
from graph.errors import SumiError
from graph.results import NodeResult
from graph.schema import MISSING, Input, NodeType
from nodes import registry
from nodes.models.checkpoint import Checkpoint
from nodes.models.contents import model_in, text_encoder_in, vae_in
from nodes.text.nodes import clip_text_encode

TINY = Path(__file__).parents[2] / "models/checkpoints/sumi-tiny.safetensors"
TENSORS = frozenset({"IMAGE", "MASK", "LATENT", "CONDITIONING"})
REGISTRY = registry()


def random(*shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(0))


RGBA = random(2, 64, 80, 4)
ODD_IMAGE, ODD_MASK = random(1, 117, 131, 3), random(1, 117, 131)


@cache
def given() -> Mapping[str, Any]:
    """A value for every socket type that the nodes need."""
    checkpoint = Checkpoint.open(TINY)
    clip = text_encoder_in(checkpoint)
    return {
        "IMAGE": random(2, 64, 80, 3),
        "MASK": random(2, 64, 80),
        "LATENT": {"samples": random(2, 4, 8, 10)},
        "CONDITIONING": clip_text_encode(text="a cat", clip=clip),
        "MODEL": model_in(checkpoint),
        "CLIP": clip,
        "VAE": vae_in(checkpoint),
        "LATENT_OPERATION": lambda samples: samples,
    }


def node_types() -> Iterator[NodeType]:
    """Sumi's nodes that return tensors and can be called with the values of :func:`given`."""
    for node_type in REGISTRY.values():
        gives = {output.type for output in node_type.outputs}
        inputs = [declared for declared in node_type.inputs if declared.required]
        known = all(declared.type in given() or usual(declared) is not MISSING for declared in inputs)
        if gives & TENSORS and known and not node_type.is_async and not node_type.output_node:
            yield node_type


def usual(declared: Input) -> Any:
    """The default of an input that is not a link, else its first choice or least number."""
    if declared.default is not MISSING:
        return declared.default
    return (declared.choices or (MISSING,))[0] if declared.minimum is None else declared.minimum


def calls(node_type: NodeType) -> Iterator[dict[str, Any]]:
    """Inputs for the node: the usual ones, a size that is not a multiple of 8, alpha, and every choice in turn."""
    inputs = {declared.name: given().get(declared.type, usual(declared)) for declared in node_type.inputs}
    known = {name: value for name, value in inputs.items() if value is not MISSING}
    small = {name: 64 for name in ("width", "height") if name in known}
    small |= {"steps": 1} if "steps" in known else {}
    yield known | small
    odd = {"IMAGE": ODD_IMAGE, "MASK": ODD_MASK}
    types = {declared.name: declared.type for declared in node_type.inputs}
    yield known | small | {name: odd[types[name]] for name in known if types[name] in odd}
    small |= {name: RGBA for name, value in known.items() if value is given()["IMAGE"]}
    yield known | small
    for declared in node_type.inputs:
        for choice in declared.choices or ():
            if declared.name not in ("sampler_name", "scheduler"):
                yield known | small | {declared.name: choice}


def tensors(value: Any) -> Iterator[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, (dict, list, tuple)):
        for item in value.values() if isinstance(value, dict) else value:
            yield from tensors(item)
    elif isinstance(value, NodeResult):
        yield from tensors(value.values)


@pytest.mark.parametrize("name", [node_type.name for node_type in node_types()])
def test_what_a_node_returns_is_contiguous(name: str, context: Any) -> None:
    node_type = REGISTRY[name]
    for inputs in calls(node_type):
        if node_type.input_is_list:
            inputs = {key: [value] for key, value in inputs.items()}
        more = {node_type.context_parameter: context} if node_type.context_parameter else {}
        hidden = dict.fromkeys(node_type.hidden)
        try:
            with executing(context):
                result = node_type.function(**inputs, **more, **hidden)
        except SumiError:
            continue  # these values do not fit together for this node
        for tensor in tensors(result):
            choices = {key: value for key, value in inputs.items() if isinstance(value, str)}
            assert tensor.is_contiguous(), (choices, tensor.shape, tensor.stride())
