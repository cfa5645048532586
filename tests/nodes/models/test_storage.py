"""Weights of 8 bits in memory: the results are those of weights that were rounded to fp8 beforehand."""

from __future__ import annotations

import dataclasses
import gc
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from graph.folders import Folders
from nodes import model_folders
from nodes.merging.saving_nodes import model_save
from nodes.models import contents
from nodes.models.checkpoint import Checkpoint, CheckpointError
from nodes.models.handle import Model
from nodes.models.nodes import unet_loader
from nodes.models.residency import Residency, free, loaded
from nodes.models.storage import Storage, is_fp8, keep_file_weights, rounded
from nodes.models.stored_network import Source
from nodes.models.weight_changes import Difference, LowRank
from nodes.models.weight_patches import WeightPatch
from tests.nodes.conftest import NodeContext
from tests.nodes.models.networks import UNLIMITED, Net, in_file, limited, saved, source
from tests.oracle.small_checkpoints import SD2

E4M3, E5M2 = torch.float8_e4m3fn, torch.float8_e5m2
TYPES: dict[Storage, torch.dtype] = {"fp8_e4m3fn": E4M3, "fp8_e5m2": E5M2}
STORAGES = pytest.mark.parametrize("storage", TYPES)
COMPUTED = pytest.mark.parametrize("computed", [torch.float32, torch.bfloat16])
PICTURE = torch.linspace(-1, 1, 4 * 16 * 16).reshape(1, 4, 16, 16)


def state(width: int = 8) -> dict[str, Tensor]:
    torch.manual_seed(0)
    return Net(width).state_dict()


def in_fp8(storage: Storage, source: Source[int]) -> Source[int]:
    return dataclasses.replace(source, storage=storage)


def call(network: nn.Module) -> Tensor:
    with torch.no_grad():
        result: Tensor = network(PICTURE.to(next(network.parameters()).dtype))
    return result


# -- the file's half precision -----------------------------------------------------------------------------------


@pytest.fixture
def file_weights() -> Iterator[None]:
    keep_file_weights(True)
    yield
    keep_file_weights(False)


@pytest.mark.parametrize("stored", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("present", [True, False], ids=["in memory", "read for each call"])
def test_half_precision_weights_kept_as_in_the_file_give_the_same_bits(
    stored: torch.dtype, present: bool, tmp_path: Path, file_weights: None
) -> None:
    weights = in_file(tmp_path / "a.safetensors", {name: tensor.to(stored) for name, tensor in state().items()})
    keep_file_weights(False)
    expected = call(limited(UNLIMITED).resident(source(weights)))
    plain = limited(UNLIMITED)
    plain.resident(source(weights))
    keep_file_weights(True)
    residency = limited(UNLIMITED if present else 0)
    network = residency.resident(source(weights))
    assert torch.equal(call(network), expected)
    assert torch.equal(call(network), expected)
    assert all(tensor.dtype == torch.float32 for tensor in network.state_dict().values())
    if present:
        biases = sum(4 * tensor.numel() for tensor in state().values() if tensor.ndim == 1)
        assert sum(entry.nbytes for entry in residency.loaded()) < plain.loaded()[0].nbytes / 2 + biases


def test_a_patched_weight_is_not_rounded_to_the_files_precision(tmp_path: Path, file_weights: None) -> None:
    weights = in_file(tmp_path / "a.safetensors", {name: tensor.half() for name, tensor in state().items()})
    name = next(name for name, tensor in state().items() if tensor.ndim > 1)
    patch = WeightPatch(name, Difference(torch.full_like(state()[name], 1e-6)))
    kept = limited(UNLIMITED)
    kept.resident(source(weights))  # the patched layer is made of this one's weights
    found = kept.resident(source(weights), (patch,))
    keep_file_weights(False)
    expected = limited(UNLIMITED).resident(source(weights), (patch,))
    assert torch.equal(found.state_dict()[name], expected.state_dict()[name])
    assert torch.equal(call(found), call(expected))


def test_half_precision_computing_keeps_its_own_precision(tmp_path: Path, file_weights: None) -> None:
    weights = in_file(tmp_path / "a.safetensors", {name: tensor.half() for name, tensor in state().items()})
    network = limited(UNLIMITED).resident(source(weights, torch.bfloat16))
    assert not any("stored_weights" in vars(module) for module in network.modules())


# -- one network -------------------------------------------------------------------------------------------------


@STORAGES
@COMPUTED
@pytest.mark.parametrize("present", [True, False], ids=["in memory", "read for each call"])
def test_the_result_is_that_of_weights_rounded_in_the_file(
    storage: Storage, computed: torch.dtype, present: bool, tmp_path: Path
) -> None:
    values = state()
    wanted = {name: tensor.to(TYPES[storage]).float() for name, tensor in values.items()}
    expected = limited(UNLIMITED).resident(source(in_file(tmp_path / "b.safetensors", wanted), computed))
    weights = in_file(tmp_path / "a.safetensors", values)
    residency = limited(UNLIMITED if present else 0)
    network = residency.resident(in_fp8(storage, source(weights, computed)))
    assert torch.equal(call(network), call(expected))
    assert torch.equal(call(network), call(expected))  # nothing is left over from the first call
    found = network.state_dict()
    assert all(torch.equal(found[name], tensor) for name, tensor in expected.state_dict().items())
    assert sum(entry.nbytes for entry in residency.loaded()) == (weights.parameters if present else 0)


def test_fp8_in_a_file_stays_fp8_and_the_rest_does_not(tmp_path: Path) -> None:
    values = state()
    stored = {name: tensor.to(E4M3) if tensor.ndim == 2 else tensor for name, tensor in values.items()}
    weights = in_file(tmp_path / "a.safetensors", stored)
    residency = limited(UNLIMITED)
    network = residency.resident(in_fp8("default", source(weights)))
    expected = limited(UNLIMITED).resident(source(weights))
    assert torch.equal(call(network), call(expected))
    assert [entry.nbytes for entry in residency.loaded()] == [
        sum(tensor.numel() * (1 if tensor.ndim == 2 else 4) for tensor in values.values())
    ]


def test_freed_weights_of_8_bits_leave_memory_at_once(tmp_path: Path) -> None:
    residency = limited(UNLIMITED)
    network = residency.resident(in_fp8("fp8_e4m3fn", source(saved(tmp_path / "a.safetensors"))))
    call(network)
    assert all(is_fp8(tensor.dtype) for tensor in stored_in(network))
    held = [weakref.ref(tensor) for tensor in stored_in(network)]
    assert len(held) == len(state())
    gc.disable()
    try:
        residency.free()
        del network
        assert not any(ref() is not None for ref in held)
    finally:
        gc.enable()


def stored_in(network: nn.Module) -> list[Tensor]:
    return [tensor for module in network.modules() for tensor in module.__dict__.get("stored_weights", {}).values()]


def test_weights_leave_and_come_back(tmp_path: Path) -> None:
    limit = UNLIMITED
    residency = Residency(lambda device, held: limit)
    chosen = in_fp8("fp8_e5m2", source(saved(tmp_path / "a.safetensors")))
    expected = call(residency.resident(chosen))
    patch = (WeightPatch("rows.1.weight", Difference(torch.ones(8, 8))),)
    patched = call(residency.resident(chosen, patch))
    assert not torch.equal(patched, expected)
    residency.free_others(residency.resident(source(saved(tmp_path / "b.safetensors"))))
    assert [entry.source.weights.path.stem for entry in residency.loaded()] == ["b"]
    limit = 100
    assert torch.equal(call(residency.resident(chosen)), expected)
    assert torch.equal(call(residency.resident(chosen, patch)), patched)
    limit = UNLIMITED
    assert torch.equal(call(residency.resident(chosen)), expected)
    assert torch.equal(call(residency.resident(chosen, patch)), patched)


@STORAGES
def test_weights_beyond_fp8_are_refused(storage: Storage, tmp_path: Path) -> None:
    values = state()
    values["out.weight"][0, 0] = 1.1 * torch.finfo(TYPES[storage]).max
    chosen = in_fp8(storage, source(in_file(tmp_path / "a.safetensors", values)))
    with pytest.raises(CheckpointError, match=r"'net\.out\.weight' does not fit torch\.float8"):
        limited(UNLIMITED).resident(chosen)
    values["out.weight"][0, 0] = float("nan")
    chosen = in_fp8(storage, source(in_file(tmp_path / "b.safetensors", values)))
    with pytest.raises(CheckpointError, match=r"'net\.out\.weight' holds NaN or infinity"):
        limited(UNLIMITED).resident(chosen)


# -- patches -----------------------------------------------------------------------------------------------------


@STORAGES
def test_patches_are_applied_in_float32_and_stored_in_fp8(storage: Storage, tmp_path: Path) -> None:
    weights = saved(tmp_path / "a.safetensors")
    up, down = torch.randn(8, 2), torch.randn(2, 8)
    patch = WeightPatch("rows.2.weight", LowRank(up, down), 0.5)
    residency = limited(UNLIMITED)
    found = residency.resident(in_fp8(storage, source(weights)), (patch,)).state_dict()
    exact = patch(state()["rows.2.weight"])
    assert torch.equal(found["rows.2.weight"], rounded(exact, TYPES[storage], "rows.2.weight"))
    assert torch.equal(found["rows.1.weight"], state()["rows.1.weight"].to(TYPES[storage]).float())
    # The plain network has not changed, and the patched layer costs one byte for each weight.
    plain = residency.resident(in_fp8(storage, source(weights))).state_dict()
    assert torch.equal(plain["rows.2.weight"], state()["rows.2.weight"].to(TYPES[storage]).float())
    assert sum(entry.nbytes for entry in residency.loaded()) == weights.parameters + 8 * 8 + 8


@STORAGES
def test_rounding_gives_a_neighbour_and_keeps_the_mean(storage: Storage) -> None:
    dtype = TYPES[storage]
    info = torch.finfo(dtype)
    held = torch.arange(256, dtype=torch.uint8).view(dtype).float()
    held = held[held.isfinite()].sort().values
    assert torch.equal(rounded(held, dtype, "a"), held)
    values = torch.randn(200_000, generator=torch.Generator().manual_seed(1)) * 0.05
    result = rounded(values, dtype, "a")
    assert torch.equal(result.to(dtype).float(), result)
    above = torch.bucketize(values, held)
    assert bool(((result == held[above]) | (result == held[above - 1])).all())
    assert torch.equal(result, rounded(values, dtype, "a")) and not torch.equal(result, rounded(values, dtype, "b"))
    # A change of a hundredth of a step, which rounding to the nearest would lose.
    ones = torch.full((200_000,), 1 + info.eps / 100)
    assert torch.equal(ones.to(dtype).float(), torch.ones(200_000))
    assert float(rounded(ones, dtype, "a").mean() - 1) == pytest.approx(info.eps / 100, rel=0.1)


# -- the nodes ---------------------------------------------------------------------------------------------------


@pytest.fixture
def place(context: NodeContext, tmp_path: Path) -> NodeContext:
    folder = tmp_path / "models" / "diffusion_models"
    folder.mkdir(parents=True, exist_ok=True)
    SD2.write(folder / "m.safetensors")
    return NodeContext(model_folders.folders(tmp_path))


def opened(place: NodeContext, weight_dtype: Any, name: str = "m.safetensors") -> Model:
    return unet_loader(unet_name=name, weight_dtype=weight_dtype, context=place)


def run(model: Model) -> Tensor:
    generator = torch.Generator().manual_seed(2)
    noise = torch.randn(1, model.config.in_channels, 8, 8, generator=generator)
    text = torch.randn(1, 77, model.config.context_width, generator=generator)
    with torch.no_grad():
        result: Tensor = model.network()(noise, torch.tensor([500.0]), text)
    return result


def path_of(folders: Folders, name: str = "m.safetensors") -> Path:
    return folders.find("diffusion_models", name)


def held_bytes() -> int:
    return sum(entry.nbytes for entry in loaded())


@STORAGES
def test_the_loader_stores_a_diffusion_model_in_fp8(storage: Storage, place: NodeContext) -> None:
    free()
    plain = run(opened(place, "default"))
    full = held_bytes()
    free()
    model = opened(place, storage)
    found = run(model)
    assert held_bytes() == model.weights.parameters == model.weight_bytes() == full // 4
    path = path_of(place.folders)
    beside = path.with_name("rounded.safetensors")
    dtype = TYPES[storage]
    save_file({name: tensor.to(dtype).to(tensor.dtype) for name, tensor in load_file(path).items()}, beside)
    assert torch.equal(found, run(opened(place, "default", beside.name)))
    assert not torch.equal(found, plain)
    assert model != opened(place, "default") and model.patches == ()
    free()


def test_the_fast_choice_says_that_it_is_not_faster(place: NodeContext, caplog: pytest.LogCaptureFixture) -> None:
    assert opened(place, "fp8_e4m3fn_fast") == opened(place, "fp8_e4m3fn")
    assert "computing is not faster" in caplog.text


@pytest.mark.parametrize("is_patched", [False, True])
def test_a_saved_fp8_model_is_fp8_and_gives_the_same_bits(is_patched: bool, place: NodeContext) -> None:
    model = opened(place, "fp8_e4m3fn")
    name = "input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight"
    if is_patched:
        shape = model.network().state_dict()[name].shape
        model = dataclasses.replace(model, patches=(WeightPatch(name, Difference(torch.full(shape, 0.01))),))
    own = NodeContext(place.folders, node_id="save")
    result: Any = model_save(model=model, filename_prefix="a", prompt={}, extra_pnginfo={}, context=own)
    (file,) = result.ui["files"]
    path = place.folders.output / file["subfolder"] / file["filename"]
    assert {tensor.dtype for name, tensor in load_file(path).items() if "diffusion_model" in name} == {E4M3}
    assert torch.equal(run(contents.model_in(Checkpoint.open(path))), run(model))
    free()
