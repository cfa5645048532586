"""Hypernetworks in AUTOMATIC1111's format, against networks built as its trainer builds them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from nodes import model_folders
from nodes.changes.hypernetwork import Hypernetwork, hypernetwork_in
from nodes.changes.hypernetwork_nodes import hypernetwork_loader
from nodes.models import contents
from nodes.models.checkpoint import Checkpoint, CheckpointError
from tests.nodes.conftest import NodeContext
from tests.oracle.small_checkpoints import SD2

WIDTH = 16


def trained(
    structure: list[int], activation: str, norm: bool, dropout: bool, at_end: bool, width: int = WIDTH
) -> nn.Sequential:
    """The layers in the trainer's order: linear, activation, norm, dropout. The last has no activation as a rule."""
    layers: list[nn.Module] = []
    kinds: dict[str, Any] = {
        "relu": nn.ReLU,
        "swish": nn.Hardswish,
        "tanh": nn.Tanh,
        "linear": nn.Identity,
        "mish": nn.Mish,
    }
    for number in range(len(structure) - 1):
        is_last = number == len(structure) - 2
        layers.append(nn.Linear(width * structure[number], width * structure[number + 1]))
        if activation != "linear" and (at_end or not is_last):
            layers.append(kinds[activation]())
        if norm:
            layers.append(nn.LayerNorm(width * structure[number + 1]))
        if dropout and not is_last:
            layers.append(nn.Dropout(0.3))
    return nn.Sequential(*layers).eval()


def write(path: Path, keys: nn.Module, values: nn.Module, width: int = WIDTH, **settings: Any) -> None:
    states = [{f"linear.{name}": t for name, t in net.state_dict().items()} for net in (keys, values)]
    torch.save({width: tuple(states), "step": 10, "name": "x", "layer_structure": [1, 2, 1], **settings}, path)


@pytest.mark.parametrize("structure", [[1, 2, 1], [1, 2, 2, 1]])
@pytest.mark.parametrize("activation", ["relu", "swish", "linear", "mish"])
@pytest.mark.parametrize("norm", [False, True])
@pytest.mark.parametrize(("dropout", "at_end"), [(False, False), (True, True)])
def test_keys_and_values(
    structure: list[int], activation: str, norm: bool, dropout: bool, at_end: bool, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    keys, values = (trained(structure, activation, norm, dropout, at_end) for _ in range(2))
    write(tmp_path / "h.pt", keys, values, activation_func=activation, is_layer_norm=norm, activate_output=at_end)
    found = hypernetwork_in(tmp_path / "h.pt", 0.5)
    query, context = torch.randn(2, 5, 8), torch.randn(2, 7, WIDTH)
    with torch.no_grad():
        results = found(query, context, context, {})
        expected = query, context + 0.5 * keys(context), context + 0.5 * values(context)
    for result, wanted in zip(results, expected, strict=True):
        torch.testing.assert_close(result, wanted)
    other: Tensor = torch.randn(1, 3, WIDTH + 1)
    assert found(query, other, other, {})[1] is other


def test_the_node_changes_a_models_prediction(tmp_path: Path) -> None:
    (tmp_path / "models" / "hypernetworks").mkdir(parents=True)
    context: Any = NodeContext(model_folders.folders(tmp_path))
    pair = [trained([1, 2, 1], "relu", False, False, False, width=64) for _ in "kv"]
    write(tmp_path / "models" / "hypernetworks" / "h.pt", *pair, width=64, activation_func="relu")
    model = contents.model_in(Checkpoint.open(SD2.write(tmp_path / "m.safetensors")))
    assert hypernetwork_loader(model=model, hypernetwork_name="none.pt", strength=0.0, context=context) is model
    changed = hypernetwork_loader(model=model, hypernetwork_name="h.pt", strength=1.0, context=context)
    options = changed.changes.inside.options
    x, text = torch.randn(1, 4, 8, 8), torch.randn(1, 77, 128)
    with torch.no_grad():
        plain = model.network()(x, torch.tensor([500.0]), text)
        found = changed.network()(x, torch.tensor([500.0]), text, transformer_options=options)
    assert (plain - found).abs().max() > 1e-3
    patch = options["patches"]["attn1_patch"][0]
    assert isinstance(patch, Hypernetwork) and patch.strength == 1.0


def test_files_that_are_no_hypernetwork(tmp_path: Path) -> None:
    SD2.write(tmp_path / "m.safetensors")
    with pytest.raises(CheckpointError, match=r"m\.safetensors: is a checkpoint .*; expected a hypernetwork"):
        hypernetwork_in(tmp_path / "m.safetensors", 1.0)
    net = trained([1, 2, 1], "relu", False, False, False)
    write(tmp_path / "h.pt", net, net, activation_func="nonsense")
    with pytest.raises(CheckpointError, match="the activation 'nonsense' is unknown"):
        hypernetwork_in(tmp_path / "h.pt", 1.0)
    (tmp_path / "t.pt").write_text("<html>")
    with pytest.raises(CheckpointError, match="is a web page"):
        hypernetwork_in(tmp_path / "t.pt", 1.0)
