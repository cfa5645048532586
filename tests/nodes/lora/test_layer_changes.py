"""The changes that LyCORIS' files describe, against its formulas written out by index."""

from __future__ import annotations

import pytest
import torch
from peft.tuners.boft.layer import BOFTLayer
from torch import Tensor

from nodes.lora.errors import LoraError
from nodes.lora.layer_changes import change_of, fits

OUT, IN, RANK = 12, 10, 3


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed + sum(shape)))


@pytest.mark.parametrize("kernel", [(), (1, 1), (3, 3)])
def test_glora(kernel: tuple[int, ...]) -> None:
    """f(x) = Wx + WAx + Bx, in the names of LyCORIS 2 and later, and with the factors swapped before."""
    weight, ones = random(OUT, IN, *kernel), (1,) * len(kernel)
    a1, a2 = random(IN, RANK, *ones), random(RANK, IN, *ones)
    b1, b2 = random(OUT, RANK, *ones), random(RANK, IN, *kernel)
    mixed = (weight.movedim(1, -1) @ a1.flatten(1) @ a2.flatten(1)).movedim(-1, 1)
    expected = weight + 0.5 * (2 / RANK) * (mixed + (b1.flatten(1) @ b2.flatten(1)).reshape(weight.shape))
    tensors = {"a1.weight": a1, "a2.weight": a2, "b1.weight": b1, "b2.weight": b2}
    swapped = {"a1.weight": a2, "a2.weight": a1, "b1.weight": b2, "b2.weight": b1}
    for each in (tensors, swapped):
        assert fits({name: tuple(t.shape) for name, t in each.items()}, tuple(weight.shape))
        torch.testing.assert_close(change_of(each, 2.0)(weight, 0.5), expected)


def test_tucker_cores_of_loha_and_lokr() -> None:
    weight = random(OUT, IN, 3, 3)
    core, a, b = random(RANK, RANK, 3, 3), random(RANK, OUT), random(RANK, IN)
    rebuilt = torch.zeros(OUT, IN, 3, 3)
    for i in range(RANK):
        for j in range(RANK):
            rebuilt += a[i, :, None, None, None] * b[j, None, :, None, None] * core[i, j]
    tensors = {f"hada_w{n}_{side}": t for n in (1, 2) for side, t in (("a", a), ("b", b))}
    tensors |= {"hada_t1": core, "hada_t2": core}
    torch.testing.assert_close(change_of(tensors, None)(weight, 1.0), weight + rebuilt**2, rtol=1e-4, atol=1e-4)
    lokr = {"lokr_w1": random(2, 2), "lokr_w2_a": random(RANK, 6), "lokr_w2_b": random(RANK, 5), "lokr_t2": core}
    large = torch.einsum("ijhw,io,jc->ochw", core, lokr["lokr_w2_a"], lokr["lokr_w2_b"])
    expected = torch.stack(
        [torch.kron(lokr["lokr_w1"], large[:, :, y, x].contiguous()) for y in range(3) for x in range(3)], -1
    ).reshape(OUT, IN, 3, 3)
    found = change_of(lokr, 1.5)(weight, 1.0)
    torch.testing.assert_close(found, weight + expected * 1.5 / RANK, rtol=1e-4, atol=1e-4)


def rotation(block: Tensor) -> Tensor:
    skew, identity = block - block.T, torch.eye(len(block))
    return (identity + skew) @ torch.linalg.inv(identity - skew)


def test_oft_with_a_rescale_and_a_constraint() -> None:
    weight, blocks, rescale = random(OUT, IN), random(3, 4, 4) * 0.2, random(OUT, 1)
    expected = torch.block_diag(*map(rotation, blocks)).T @ weight
    torch.testing.assert_close(change_of({"oft_blocks": blocks}, None)(weight, 1.0), expected, rtol=1e-4, atol=1e-4)
    found = change_of({"oft_blocks": blocks, "rescale": rescale}, None)(weight, 1.0)
    torch.testing.assert_close(found, expected * rescale, rtol=1e-4, atol=1e-4)
    # A constraint of 0.01 for 12 outputs: the norm of the skew-symmetric matrices is 0.12 at most.
    skew = blocks - blocks.transpose(1, 2)
    scaled = skew * 0.12 / skew.norm() / 2
    expected = torch.block_diag(*map(rotation, scaled)).T @ weight
    torch.testing.assert_close(change_of({"oft_blocks": blocks}, 0.01)(weight, 1.0), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("strength", [1.0, 0.4])
def test_boft_mixes_ever_wider_groups(strength: float) -> None:
    """Each stage sorts the rows so that distant ones are neighbours, turns blocks of 4, and sorts them back."""
    size, stages = 4, 2
    weight, blocks = random(16, IN), random(stages, 4, size, size) * 0.3
    expected = weight
    for stage in range(stages):
        far = 2**stage * size // 2
        order = [c * 2 * far + g * far + k for c in range(16 // (2 * far)) for k in range(far) for g in range(2)]
        sort = torch.eye(16)[order]
        turned = torch.block_diag(*map(rotation, blocks[stage]))
        expected = sort.T @ (torch.eye(16) + strength * (turned - torch.eye(16))) @ sort @ expected
    found = change_of({"oft_blocks": blocks}, None)(weight, strength)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("stages", [1, 2, 3])
def test_boft_of_inputs_in_several_stages(stages: int) -> None:
    """PEFT's permutations; its own network computes only one stage on a CPU."""
    size, width = 4, 16
    weight, blocks, rescale = random(OUT, width), random(stages, 4, size, size) * 0.3, random(OUT, 1)
    rotated = weight.T
    for stage in range(stages):
        order = BOFTLayer.block_butterfly_perm(None, width, int(4 / 2**stage), size // 2, stages - 1)
        sort = BOFTLayer.perm2mat(None, order)
        rotated = sort @ torch.block_diag(*(rotation(block / 2).T for block in blocks[stage])) @ sort.T @ rotated
    found = change_of({"boft_R": blocks, "boft_s": rescale}, None)(weight, 1.0)
    torch.testing.assert_close(found, rotated.T * rescale, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("algorithm", ["hada", "lokr", "lora"])
@pytest.mark.parametrize("shape", [(1, IN), (OUT, 1), (OUT,)])
def test_magnitudes_of_every_additive_kind(algorithm: str, shape: tuple[int, ...]) -> None:
    """DoRA: the changed weight's columns, or rows, have the magnitudes as norms; strength moves towards it."""
    tensors = {
        "hada": {
            **{f"hada_w{n}_a": random(OUT, RANK, seed=n) for n in (1, 2)},
            **{f"hada_w{n}_b": random(RANK, IN, seed=n) for n in (1, 2)},
        },
        "lokr": {"lokr_w1": random(2, 2), "lokr_w2": random(6, 5)},
        "lora": {"lora_up.weight": random(OUT, RANK), "lora_down.weight": random(RANK, IN)},
    }[algorithm]
    weight, magnitude = random(OUT, IN), random(*shape).abs() + 1
    plain = change_of(tensors, 1.0)(weight, 1.0)
    found = change_of({**tensors, "dora_scale": magnitude}, 1.0)(weight, 1.0)
    over = 0 if shape == (1, IN) else 1
    magnitudes = magnitude.reshape((1, IN) if over == 0 else (OUT, 1))
    torch.testing.assert_close(found, plain / plain.norm(dim=over, keepdim=True) * magnitudes, rtol=1e-4, atol=1e-4)
    half = change_of({**tensors, "dora_scale": magnitude}, 1.0)(weight, 0.5)
    torch.testing.assert_close(half, (weight + found) / 2, rtol=1e-4, atol=1e-4)


def test_tensors_that_form_no_change_are_named() -> None:
    with pytest.raises(LoraError, match=r"LoHa layer with the tensors hada_w1_a: hada_w1_b, hada_w2_a, hada_w2_b is"):
        change_of({"hada_w1_a": random(2, 2)}, None)
    with pytest.raises(LoraError, match="a LoRA layer with the tensors rescale; expected those of "):
        change_of({"rescale": random(2)}, None)
