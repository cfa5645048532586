"""Functions in a U-Net call, compared with networks whose weights were changed to the same effect."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from nodes.models.unet_config import UNetConfig
from nodes.unet.attention import BasicTransformerBlock, CrossAttention
from nodes.unet.heads import attend
from nodes.unet.unet import UNet, UNetInputError

SMALL = UNetConfig(
    model_channels=64,
    channel_mult=(1, 2),
    res_blocks=(1, 1),
    input_depth=(1, 2),
    middle_depth=1,
    output_depth=(1, 1, 1, 1),
    context_width=24,
)
INPUT_BLOCKS, OUTPUT_BLOCKS = 4, 4
TRANSFORMERS = 2 + 1 + 4


@pytest.fixture(scope="module")
def unet() -> UNet:
    torch.manual_seed(0)
    return UNet(SMALL)


def call(unet: UNet, options: dict[str, Any] | None = None, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(2, 4, 9, 12, generator=generator)
    context = torch.randn(2, 77, SMALL.context_width, generator=generator)
    return unet(x, torch.full((2,), 500.0), context, transformer_options=options)


def patched(name: str, *patches: Callable[..., Any]) -> dict[str, Any]:
    return {"patches": {name: list(patches)}}


def changed(unet: UNet, change: Callable[[BasicTransformerBlock], None]) -> UNet:
    """A copy whose transformer layers have been changed."""
    other = copy.deepcopy(unet)
    for module in other.modules():
        if isinstance(module, BasicTransformerBlock):
            change(module)
    return other


def ordinary(q: Tensor, k: Tensor, v: Tensor, options: dict[str, Any]) -> Tensor:
    return attend(q, k, v, options["n_heads"])


BLOCKS = [("input", 1), ("input", 3), ("middle", 0), *(("output", i) for i in range(OUTPUT_BLOCKS))]


@pytest.mark.parametrize("options", [None, {}, {"patches": {}}, {"patches": {"attn1_patch": []}, "sigmas": 1}])
def test_without_functions_every_bit_is_the_same(unet: UNet, options: Any) -> None:
    assert torch.equal(call(unet, options), call(unet))


@pytest.mark.parametrize("name", ["attn1", "attn2"])
def test_ordinary_attention_in_place_of_attention_changes_nothing(unet: UNet, name: str) -> None:
    replacements = dict.fromkeys(BLOCKS, ordinary)
    out = call(unet, {"patches_replace": {name: replacements}})
    torch.testing.assert_close(out, call(unet), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["attn1", "attn2"])
def test_a_scaled_attention_is_a_scaled_projection(unet: UNet, name: str) -> None:
    def half(q: Tensor, k: Tensor, v: Tensor, options: dict[str, Any]) -> Tensor:
        return ordinary(q, k, v, options) / 2

    def halve(layer: BasicTransformerBlock) -> None:
        attention: CrossAttention = getattr(layer, name)
        attention.to_out[0].weight /= 2

    out = call(unet, {"patches_replace": {name: dict.fromkeys(BLOCKS, half)}})
    torch.testing.assert_close(out, call(changed(unet, halve)), rtol=1e-4, atol=1e-5)
    assert (out - call(unet)).abs().max() > 1e-3


def test_a_replacement_of_one_layer_leaves_the_others(unet: UNet) -> None:
    def nothing(q: Tensor, k: Tensor, v: Tensor, options: dict[str, Any]) -> Tensor:
        assert (options["block"], options["block_index"]) == (("input", 3), 1)
        return torch.zeros_like(q)

    other = copy.deepcopy(unet)
    other.input_blocks[3][1].transformer_blocks[1].attn1.to_out[0].weight.zero_()
    out = call(unet, {"patches_replace": {"attn1": {("input", 3, 1): nothing}}})
    torch.testing.assert_close(out, call(other), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["attn1", "attn2"])
@pytest.mark.parametrize(("place", "layer_name"), [(0, "to_q"), (1, "to_k"), (2, "to_v")])
def test_patches_of_what_attention_is_given(unet: UNet, name: str, place: int, layer_name: str) -> None:
    def scale(q: Tensor, k: Tensor, v: Tensor, options: dict[str, Any]) -> tuple[Tensor, ...]:
        given = [q, k, v]
        given[place] = given[place] * 1.5
        return tuple(given)

    def scaled(layer: BasicTransformerBlock) -> None:
        getattr(getattr(layer, name), layer_name).weight *= 1.5**2

    out = call(unet, patched(f"{name}_patch", scale, scale))
    torch.testing.assert_close(out, call(changed(unet, scaled)), rtol=1e-4, atol=1e-5)
    assert (out - call(unet)).abs().max() > 1e-3


@pytest.mark.parametrize("name", ["attn1", "attn2"])
def test_patches_of_what_attention_gives(unet: UNet, name: str) -> None:
    def scaled(layer: BasicTransformerBlock) -> None:
        out = getattr(layer, name).to_out[0]
        out.weight *= 3
        out.bias *= 3

    out = call(unet, patched(f"{name}_output_patch", lambda tokens, options: tokens * 3))
    torch.testing.assert_close(out, call(changed(unet, scaled)), rtol=1e-4, atol=1e-4)


def test_patches_between_the_attentions(unet: UNet) -> None:
    def shifted(layer: BasicTransformerBlock) -> None:
        layer.attn1.to_out[0].bias += 0.5

    out = call(unet, patched("middle_patch", lambda tokens, options: tokens + 0.5))
    torch.testing.assert_close(out, call(changed(unet, shifted)), rtol=1e-4, atol=1e-5)


def test_fewer_queries_keys_and_values_than_positions(unet: UNet) -> None:
    """As token merging does it: attention of every second token, put back twice."""

    def merge(q: Tensor, k: Tensor, v: Tensor, options: dict[str, Any]) -> tuple[Tensor, ...]:
        return q[:, ::2], k[:, ::2], v[:, ::2]

    def spread(tokens: Tensor, options: dict[str, Any]) -> Tensor:
        _, _, height, width = options["activations_shape"]
        return tokens.repeat_interleave(2, dim=1)[:, : height * width]

    out = call(unet, {"patches": {"attn1_patch": [merge], "attn1_output_patch": [spread]}})
    assert out.shape == call(unet).shape and (out - call(unet)).abs().max() > 1e-3


def test_the_embedding(unet: UNet) -> None:
    other = copy.deepcopy(unet)
    other.time_embed[2].weight *= 2
    other.time_embed[2].bias *= 2
    seen = []

    def double(embedding: Tensor, model_channels: int, options: dict[str, Any]) -> Tensor:
        seen.append((tuple(embedding.shape), model_channels))
        return embedding * 2

    torch.testing.assert_close(call(unet, patched("emb_patch", double)), call(other), rtol=1e-4, atol=1e-5)
    assert seen == [((2, 256), 64)]


def by_hand(unet: UNet, at: Callable[[str, int, Tensor, Tensor | None], tuple[Tensor, Tensor | None]]) -> Tensor:
    """The U-Net's flow, with ``at(place, number, h, skip)`` at its joints."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, 4, 9, 12, generator=generator)
    context = unet.project_context(torch.randn(2, 77, SMALL.context_width, generator=generator))
    embedding = unet.embed(torch.full((2,), 500.0), None)
    skips, h = [], x
    for number, block in enumerate(unet.input_blocks):
        h, _ = at("input", number, unet.run_block(block, h, embedding, context, None), None)
        skips.append(h)
        h, _ = at("after_skip", number, h, None)
    h, _ = at("middle", 0, unet.run_block(unet.middle_block, h, embedding, context, None), None)
    for number, block in enumerate(unet.output_blocks):
        h, skip = at("output", number, h, skips.pop())
        size = skips[-1].shape[2:] if skips else None
        h = unet.run_block(block, torch.cat([h, skip], dim=1), embedding, context, None, size)
    norm, _, conv = unet.out
    return conv(F.silu(norm(h)))


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("input_block_patch", "input"),
        ("input_block_patch_after_skip", "after_skip"),
        ("middle_block_patch", "middle"),
    ],
)
def test_patches_behind_blocks(unet: UNet, name: str, place: str) -> None:
    def twice_at_one(h: Tensor, options: dict[str, Any]) -> Tensor:
        return h * 2 if options["block"] == (("middle", 0) if place == "middle" else ("input", 2)) else h

    def by_place(found: str, number: int, h: Tensor, skip: Tensor | None) -> tuple[Tensor, Tensor | None]:
        return (h * 2 if found == place and (place == "middle" or number == 2) else h), skip

    out = call(unet, patched(name, twice_at_one))
    torch.testing.assert_close(out, by_hand(unet, by_place), rtol=1e-4, atol=1e-5)
    assert (out - call(unet)).abs().max() > 1e-3


def test_patches_before_the_blocks_of_the_way_up(unet: UNet) -> None:
    numbers = []

    def tilt(h: Tensor, skip: Tensor, options: dict[str, Any]) -> tuple[Tensor, Tensor]:
        numbers.append(options["block"])
        return h * 1.5, skip * 0.5

    def by_place(place: str, number: int, h: Tensor, skip: Tensor | None) -> tuple[Tensor, Tensor | None]:
        return (h * 1.5, skip * 0.5) if place == "output" and skip is not None else (h, skip)

    out = call(unet, patched("output_block_patch", tilt))
    torch.testing.assert_close(out, by_hand(unet, by_place), rtol=1e-4, atol=1e-5)
    assert numbers == [("output", number) for number in range(OUTPUT_BLOCKS)]


def test_a_smaller_way_down_meets_its_skips(unet: UNet) -> None:
    """As deep shrink does it: the feature map halved on the way down, enlarged before it is joined again."""

    def shrink(h: Tensor, options: dict[str, Any]) -> Tensor:
        return F.interpolate(h, scale_factor=0.5) if options["block"] == ("input", 1) else h

    def enlarge(h: Tensor, skip: Tensor, options: dict[str, Any]) -> tuple[Tensor, Tensor]:
        return (h if h.shape == skip.shape else F.interpolate(h, size=skip.shape[2:])), skip

    out = call(unet, {"patches": {"input_block_patch_after_skip": [shrink], "output_block_patch": [enlarge]}})
    assert out.shape == (2, 4, 9, 12) and out.isfinite().all()


def test_what_patches_are_told(unet: UNet) -> None:
    seen: list[dict[str, Any]] = []

    def look(tokens: Tensor, options: dict[str, Any]) -> Tensor:
        seen.append(options)
        return tokens

    given = {"cond_or_uncond": [1, 0], "sigmas": torch.ones(1), **patched("attn2_output_patch", look)}
    before = copy.copy(given)
    call(unet, given)
    assert given == before, "the options that were given stay as they were"
    places = [(options["block"], options["transformer_index"], options["block_index"]) for options in seen]
    expected = [(("input", 1), 0, 0), (("input", 3), 1, 0), (("input", 3), 1, 1), (("middle", 0), 2, 0)]
    assert places == expected + [(("output", number), 3 + number, 0) for number in range(OUTPUT_BLOCKS)]
    first, deepest = seen[0], seen[3]
    assert first["original_shape"] == [2, 4, 9, 12] and first["cond_or_uncond"] == [1, 0]
    assert first["activations_shape"] == [2, 64, 9, 12] and deepest["activations_shape"] == [2, 128, 5, 6]
    assert (first["n_heads"], first["dim_head"], deepest["dim_head"]) == (8, 8, 16)
    assert "patches" not in first


def test_patches_need_the_text_itself(unet: UNet) -> None:
    x = torch.randn(1, 4, 8, 8)
    context = unet.project_context(torch.randn(1, 77, SMALL.context_width))
    with pytest.raises(UNetInputError, match="not its projection"):
        unet(x, torch.ones(1), context, transformer_options=patched("middle_patch", lambda tokens, options: tokens))
