"""Which weights stay in memory, which are shared, and which are unloaded first."""

from __future__ import annotations

import dataclasses
import gc
import threading
import weakref
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from nodes.fused import Linear
from nodes.models.checkpoint import CheckpointError
from nodes.models.residency import Residency
from nodes.models.weight_changes import Difference, LowRank, Replacement
from nodes.models.weight_patches import WeightPatch, WeightPatchError
from nodes.vram import weight_budget
from tests.nodes.models.networks import UNLIMITED, Net, in_file, limited, saved, size, source

PICTURE = torch.linspace(-1, 1, 4 * 16 * 16).reshape(1, 4, 16, 16)


def low_rank(name: str, seed: int, strength: float = 1.0, width: int = 8) -> WeightPatch:
    generator = torch.Generator().manual_seed(seed)
    up, down = torch.randn(width, 2, generator=generator), torch.randn(2, width, generator=generator)
    return WeightPatch(name, LowRank(up, down), strength)


def of_rows(seed: int, count: int = 4, width: int = 8) -> tuple[WeightPatch, ...]:
    return tuple(low_rank(f"rows.{row}.weight", seed + row, width=width) for row in range(count))


def state_of(network: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}


def names(residency: Residency) -> list[str]:
    return [entry.source.weights.path.stem for entry in residency.loaded()]


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


# -- one network -------------------------------------------------------------------------------------------------


def test_a_network_is_loaded_once(tmp_path: Path) -> None:
    weights = saved(tmp_path / "a.safetensors")
    residency = limited(UNLIMITED)
    first = residency.resident(source(weights))
    assert residency.resident(source(weights)) is first
    assert [entry.nbytes for entry in residency.loaded()] == [size(weights)]
    layers = [id(module) for module in first.modules()]
    del first
    assert [id(module) for module in residency.resident(source(weights)).modules()][1:] == layers[1:]


def test_a_network_works_after_it_was_freed(tmp_path: Path) -> None:
    residency = limited(UNLIMITED)
    network = residency.resident(source(saved(tmp_path / "a.safetensors")))
    expected = network(PICTURE)
    residency.free()
    assert residency.loaded() == []
    assert torch.equal(network(PICTURE), expected)


def test_freed_weights_leave_memory_at_once(tmp_path: Path) -> None:
    residency = limited(UNLIMITED)
    network = residency.resident(source(saved(tmp_path / "a.safetensors")), of_rows(0))
    tensors = [weakref.ref(parameter) for parameter in network.parameters()]
    gc.disable()
    try:
        residency.free()
        assert all(tensor() is not None for tensor in tensors)
        del network
        assert all(tensor() is None for tensor in tensors)
    finally:
        gc.enable()


def test_a_file_that_cannot_be_loaded_leaves_nothing(tmp_path: Path) -> None:
    state = Net(8).state_dict()
    state["out.weight"][0, 0] = torch.nan
    residency = limited(UNLIMITED)
    with pytest.raises(CheckpointError, match="holds NaN or infinity"):
        residency.resident(source(in_file(tmp_path / "a.safetensors", state)))
    assert residency.loaded() == []


def test_what_is_loaded_can_be_asked_while_another_is_loaded(tmp_path: Path) -> None:
    answers: list[int] = []

    def budget(device: str, held: int) -> int:
        asking = threading.Thread(target=lambda: answers.append(len(residency.loaded())), daemon=True)
        asking.start()
        asking.join(timeout=10)
        return UNLIMITED

    residency = Residency(budget)
    residency.resident(source(saved(tmp_path / "a.safetensors")))
    assert answers == [0]


def test_the_budget_is_a_share_of_this_machine() -> None:
    assert 2**28 < weight_budget("cpu", 0) < 2**50


# -- several networks --------------------------------------------------------------------------------------------


def test_the_least_recently_used_leaves_first(tmp_path: Path) -> None:
    a, b, c = (source(saved(tmp_path / f"{name}.safetensors", seed=seed)) for seed, name in enumerate("abc"))
    residency = limited(2 * size(a.weights))
    for one in (a, b, a):
        residency.resident(one)
    residency.resident(c)
    assert names(residency) == ["a", "c"]


def test_room_is_made_before_a_network_is_read(tmp_path: Path) -> None:
    a, b = (source(saved(tmp_path / f"{name}.safetensors", seed=seed)) for seed, name in enumerate("ab"))
    residency = limited(size(a.weights))
    residency.resident(a)
    held: list[int] = []

    class Watching(Difference):
        def __call__(self, weight: Tensor, strength: float) -> Tensor:
            held.append(residency.nbytes("cpu"))
            return super().__call__(weight, strength)

    residency.resident(b, (WeightPatch("out.weight", Watching(torch.ones(2, 8))),))
    assert held and max(held) < size(b.weights)
    assert residency.nbytes("cpu") == size(b.weights)
    assert set(names(residency)) == {"b"}


def test_devices_have_budgets_of_their_own(tmp_path: Path) -> None:
    a, b = (source(saved(tmp_path / f"{name}.safetensors", seed=seed)) for seed, name in enumerate("ab"))
    residency = Residency(lambda device, held: {"cpu": size(a.weights), "cpu:0": size(b.weights)}[device])
    residency.resident(a)
    residency.resident(dataclasses.replace(b, device=torch.device("cpu", 0)))
    assert names(residency) == ["a", "b"]


def test_a_device_that_runs_out_of_memory_is_cleared_and_tried_once_more(tmp_path: Path) -> None:
    a, b = (source(saved(tmp_path / f"{name}.safetensors", seed=seed)) for seed, name in enumerate("ab"))
    residency = limited(UNLIMITED)
    there: list[list[str]] = []
    failures = 1

    class Hungry(Difference):
        def __call__(self, weight: Tensor, strength: float) -> Tensor:
            there.append(names(residency))
            if len(there) <= failures:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return super().__call__(weight, strength)

    patches = (WeightPatch("rows.0.weight", Hungry(torch.ones(8, 8))),)
    residency.resident(a)
    residency.resident(b, patches)
    assert "a" in there[0] and "a" not in there[1]
    assert residency.nbytes("cpu") == size(b.weights)
    # Where that does not help, what is missing is read when it is called.
    residency.free()
    there.clear()
    failures = 2
    network = residency.resident(b, patches)
    assert residency.nbytes("cpu") < size(b.weights)
    assert torch.equal(network(PICTURE), limited(UNLIMITED).resident(b, patches)(PICTURE))


def test_a_network_in_use_is_not_emptied(tmp_path: Path) -> None:
    a, b = (source(saved(tmp_path / f"{name}.safetensors", seed=seed)) for seed, name in enumerate("ab"))
    expected = limited(UNLIMITED).resident(b)(PICTURE)
    residency = limited(size(a.weights) + 100)
    held = residency.resident(a)
    state = state_of(held)
    assert torch.equal(residency.resident(b)(PICTURE), expected)
    assert all(not torch.isnan(parameter).any() for parameter in held.parameters())
    assert same(state_of(held), state)
    assert residency.nbytes("cpu") <= size(a.weights) + 100
    del held
    residency.resident(b)
    assert names(residency)[-1] == "b" and residency.loaded()[-1].nbytes == size(b.weights)


def test_precisions_are_different_networks(tmp_path: Path) -> None:
    weights = saved(tmp_path / "a.safetensors")
    residency = limited(UNLIMITED)
    full, half = residency.resident(source(weights)), residency.resident(source(weights, torch.bfloat16))
    assert full.out.weight.dtype == torch.float32 and half.out.weight.dtype == torch.bfloat16
    assert [entry.nbytes for entry in residency.loaded()] == [size(weights), size(weights) // 2]


def test_freeing_others_keeps_what_a_network_needs(tmp_path: Path) -> None:
    a, b, c = (source(saved(tmp_path / f"{name}.safetensors", seed=seed)) for seed, name in enumerate("abc"))
    residency = limited(UNLIMITED)
    residency.resident(a)
    residency.resident(b, of_rows(5))
    used = residency.resident(c)
    kept = residency.resident(b, of_rows(0, 1))
    freed = residency.free_others(kept)
    rows = 4 * 8 * 9
    assert freed == size(a.weights) + 4 * rows
    assert names(residency) == ["c", "b", "b"]
    assert residency.nbytes("cpu") == size(c.weights) + size(b.weights)
    assert used is residency.resident(c)


# -- patches -----------------------------------------------------------------------------------------------------


def test_a_patched_network_shares_every_layer_that_is_not_patched(tmp_path: Path) -> None:
    residency = limited(UNLIMITED)
    one = source(saved(tmp_path / "a.safetensors"))
    plain, patched = residency.resident(one), residency.resident(one, of_rows(0, 2))
    shared = [path for path, module in plain.named_modules() if patched.get_submodule(path) is module]
    assert shared == ["conv", "rows.2", "rows.3", "norm", "out"]
    patched(PICTURE)
    assert plain.conv.weight is patched.conv.weight and plain.conv.weight.is_mkldnn
    assert not torch.equal(plain(PICTURE), patched(PICTURE))
    assert residency.nbytes("cpu") == size(one.weights) + 2 * 4 * 8 * 9


def test_sets_of_patches_share_the_layers_that_both_change_alike(tmp_path: Path) -> None:
    residency = limited(UNLIMITED)
    one = source(saved(tmp_path / "a.safetensors"))
    common, added = of_rows(0, 1), low_rank("rows.1.weight", 7)
    first, second = residency.resident(one, common), residency.resident(one, (*common, added))
    assert first.rows[0] is second.rows[0] and first.rows[1] is not second.rows[1]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("stored", [torch.float16, torch.float32])
def test_patches_are_applied_in_order_in_float32_to_the_files_values(
    tmp_path: Path, dtype: torch.dtype, stored: torch.dtype
) -> None:
    one = source(saved(tmp_path / "a.safetensors", dtype=stored), dtype)
    in_the_file = saved(tmp_path / "b.safetensors", dtype=stored)
    values = limited(UNLIMITED).resident(source(in_the_file)).state_dict()["rows.1.weight"].clone()
    patches = (
        low_rank("rows.1.weight", 1, 0.7),
        WeightPatch("rows.1.weight", Difference(torch.full((8, 8), 0.01)), 2.0, 0.5),
        WeightPatch("rows.3.bias", Replacement(torch.arange(8.0))),
    )
    up, down = patches[0].change.tensors
    expected = ((values.double() + 0.7 * up.double() @ down.double()) * 0.5 + 0.02).to(dtype)
    for known in (True, False):
        residency = limited(UNLIMITED)
        if known:
            residency.resident(one)
        network = residency.resident(one, patches)
        torch.testing.assert_close(network.rows[1].weight, expected)
        assert network.rows[3].bias.tolist() == list(range(8))
    a, b = (limited(UNLIMITED) for _ in range(2))
    a.resident(one)
    assert same(state_of(a.resident(one, patches)), state_of(b.resident(one, patches)))


def test_ten_sets_of_patches_in_turn_leave_the_original_bit_for_bit(tmp_path: Path) -> None:
    one = source(saved(tmp_path / "a.safetensors", dtype=torch.float16))
    expected = state_of(limited(UNLIMITED).resident(one))
    residency = limited(int(1.2 * size(one.weights)))
    for turn in range(10):
        patches = (*of_rows(turn), low_rank("rows.0.weight", 99 - turn, -1.0), *convolution(turn))
        patched = residency.resident(one, patches)
        assert same(state_of(patched), state_of(limited(UNLIMITED).resident(one, patches)))
        patched(PICTURE)
        del patched
    plain = residency.resident(one)
    assert same(state_of(plain), expected)
    assert torch.equal(plain(PICTURE), limited(UNLIMITED).resident(one)(PICTURE))


def convolution(seed: int) -> Sequence[WeightPatch]:
    difference = torch.randn(8, 4, 3, 3, generator=torch.Generator().manual_seed(seed))
    return [WeightPatch("conv.weight", Difference(difference)), WeightPatch("conv.bias", Difference(torch.ones(8)))]


def test_two_handles_used_in_turn_are_patched_once(tmp_path: Path) -> None:
    one = source(saved(tmp_path / "a.safetensors"))
    residency = limited(UNLIMITED)
    calls: list[int] = []

    class Counted(Difference):
        def __call__(self, weight: Tensor, strength: float) -> Tensor:
            calls.append(1)
            return super().__call__(weight, strength)

    first, second = ((WeightPatch("rows.0.weight", Counted(torch.ones(8, 8)), s),) for s in (0.5, 1.0))
    for patches in (first, second) * 3:
        residency.resident(one, patches)
    assert len(calls) == 2


def test_many_strengths_leave_no_more_than_two_networks_in_memory(tmp_path: Path) -> None:
    one = source(saved(tmp_path / "a.safetensors"))
    everything = [name for name, _ in Net(8).named_parameters()]
    shapes = {name: parameter.shape for name, parameter in Net(8).named_parameters()}
    residency = limited(UNLIMITED)
    for strength in (0.2, 0.5, 0.8, 1.0):
        patches = tuple(WeightPatch(name, Difference(torch.ones(shapes[name])), strength) for name in everything)
        residency.resident(one, patches)
        assert residency.nbytes("cpu") <= 2 * size(one.weights)
    for strength in (0.2, 0.5, 0.8):
        residency.resident(
            one, tuple(WeightPatch(f"rows.{row}.weight", Difference(torch.ones(8, 8)), strength) for row in range(4))
        )
        assert residency.nbytes("cpu") <= 2 * size(one.weights)


def test_patched_copies_leave_before_networks(tmp_path: Path) -> None:
    a, b = (source(saved(tmp_path / f"{name}.safetensors", seed=seed)) for seed, name in enumerate("ab"))
    rows = 4 * 4 * 8 * 9
    residency = limited(size(a.weights) + size(b.weights) + rows)
    residency.resident(b)
    residency.resident(a, of_rows(0))
    residency.resident(a)
    residency.resident(a, of_rows(50))
    assert residency.nbytes("cpu") == size(a.weights) + size(b.weights) + rows
    assert names(residency) == ["b", "a", "a"] and residency.loaded()[0].nbytes == size(b.weights)


def test_weights_read_while_patched_ones_are_in_memory_are_the_files(tmp_path: Path) -> None:
    one = source(saved(tmp_path / "a.safetensors", dtype=torch.float16))
    residency = limited(UNLIMITED)
    expected = state_of(residency.resident(one))
    patched = residency.resident(one, of_rows(0))
    patched(PICTURE)
    assert same(state_of(residency.resident(one)), expected)


def test_patches_that_do_not_fit_leave_the_network_usable(tmp_path: Path) -> None:
    one = source(saved(tmp_path / "a.safetensors"))
    residency = limited(UNLIMITED)
    expected = residency.resident(one)(PICTURE)
    for patch, message in (
        (
            WeightPatch("rows.1.weight", Difference(torch.ones(5))),
            r"'rows.1.weight' does not fit: the tensor is \[8, 8\]",
        ),
        (WeightPatch("rows.9.weight", Difference(torch.ones(5))), r"'rows.9.weight', which is not a tensor of the Net"),
    ):
        with pytest.raises(WeightPatchError, match=message):
            residency.resident(one, (*of_rows(0), patch))
        assert residency.nbytes("cpu") == size(one.weights)
    assert torch.equal(residency.resident(one)(PICTURE), expected)


# -- networks larger than the budget -----------------------------------------------------------------------------


@pytest.mark.parametrize("share", [0.0, 0.3, 0.7, 0.99])
@pytest.mark.parametrize("patches", [(), of_rows(0, width=32)])
def test_a_network_larger_than_the_budget_gives_the_same_bits(
    tmp_path: Path, share: float, patches: tuple[WeightPatch, ...]
) -> None:
    one = source(saved(tmp_path / "a.safetensors", width=32, dtype=torch.float16))
    whole = limited(UNLIMITED).resident(one, patches)
    expected, state = whole(PICTURE), state_of(whole)
    budget = int(share * size(one.weights))
    residency = limited(budget)
    network = residency.resident(one, patches)
    for _ in range(2):
        assert torch.equal(network(PICTURE), expected)
        assert residency.nbytes("cpu") <= budget
    assert same(state_of(network), state)
    assert (residency.nbytes("cpu") > 0) == (share > 0.3)


def test_layers_that_are_read_for_each_call_are_not_kept(tmp_path: Path) -> None:
    one = source(saved(tmp_path / "a.safetensors", width=64))
    largest = 4 * 64 * 65
    budget = 3 * largest
    residency = limited(budget)
    network = residency.resident(one)
    alive: list[int] = []
    kept = residency.nbytes("cpu")
    original = Linear.forward

    def counting(layer: Linear, *args: object, **kwargs: object) -> Tensor:
        alive.append(sum(t.nbytes for t in _storages(layer)))
        return original(layer, *args, **kwargs)  # type: ignore[arg-type]

    Linear.forward = counting  # type: ignore[method-assign, assignment]
    try:
        network(PICTURE)
    finally:
        Linear.forward = original  # type: ignore[method-assign]
    assert kept + max(alive) <= budget and kept > 0
    assert residency.nbytes("cpu") == kept


def _storages(layer: nn.Module) -> list[Tensor]:
    return [parameter for parameter in layer.parameters() if parameter.untyped_storage().nbytes() > 4]


def test_a_network_comes_back_whole_when_there_is_room_again(tmp_path: Path) -> None:
    one = source(saved(tmp_path / "a.safetensors"))
    budget = [0]
    residency = limited(lambda: budget[0])
    expected = limited(UNLIMITED).resident(one)(PICTURE)
    assert torch.equal(residency.resident(one)(PICTURE), expected)
    assert residency.loaded() == []
    budget[0] = UNLIMITED
    assert torch.equal(residency.resident(one)(PICTURE), expected)
    assert residency.nbytes("cpu") == size(one.weights)


def test_a_file_that_changes_while_its_layers_are_read_is_noticed(tmp_path: Path) -> None:
    network = limited(0).resident(source(saved(tmp_path / "a.safetensors")))
    network(PICTURE)
    saved(tmp_path / "a.safetensors", seed=1)
    with pytest.raises(CheckpointError, match="has changed"):
        network(PICTURE)


def test_absent_layers_may_be_called_from_several_threads(tmp_path: Path) -> None:
    one = source(saved(tmp_path / "a.safetensors", width=16))
    expected = limited(UNLIMITED).resident(one)(PICTURE)
    network = limited(0).resident(one)
    equal: list[bool] = []
    threads = [
        threading.Thread(target=lambda: equal.extend(torch.equal(network(PICTURE), expected) for _ in range(10)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert equal == [True] * 40
