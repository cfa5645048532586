"""Changes inside the network: FreeU, HyperTile, token merging, deep shrink, and differential diffusion's mask."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from nodes.changes import network_nodes
from nodes.changes.free_u import FreeU
from nodes.changes.hyper_tile import HyperTile, tile_count
from nodes.changes.token_merging import MergedTokens, TokenMerging
from nodes.models.changes import InsideChanges, ModelChanges
from nodes.models.handle import Model
from nodes.models.unet_config import UNetConfig
from nodes.sampling.noise import initial_noise
from nodes.sampling.sample import sample
from nodes.sampling.sampler import SAMPLERS
from nodes.sampling.schedules import sigmas_for
from nodes.unet.control import Control
from nodes.unet.heads import attend
from tests.nodes.sampling.small_model import model_of, noisy, prompt, small_unet, text

CLOSE: dict[str, Any] = {"rtol": 1e-4, "atol": 1e-4}
NETWORK = small_unet()


def picture(model: Model, steps: int = 3, size: tuple[int, int] = (16, 16), seed: int = 3, **more: Any) -> Tensor:
    arguments: dict[str, Any] = {
        "sampler": SAMPLERS["euler"],
        "positive": prompt(1),
        "negative": prompt(2),
        "scale": 4.0,
        "latent": torch.zeros(1, 4, *size),
        "seed": seed,
    }
    sigmas = more.pop("sigmas", sigmas_for("normal", steps, model.sampling.levels()))
    return sample(model, initial_noise((1, 4, *size), 3), sigmas, **{**arguments, **more})


# -- FreeU -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("block", "width"), [(0, 4), (1, 2)])
def test_free_u_is_that_of_diffusers(block: int, width: int) -> None:
    from diffusers.utils.torch_utils import apply_freeu

    settings = {"b1": 1.3, "b2": 1.4, "s1": 0.9, "s2": 0.2}
    for size in ((8, 8), (6, 10)):
        h, skip = torch.randn(2, 32 * width, *size), torch.randn(2, 24, *size)
        expected = apply_freeu(block, h.clone(), skip.clone(), **settings)
        kept = h.clone()
        found = FreeU(32, **settings)(h, skip, {})
        for one, other in zip(found, expected, strict=True):
            torch.testing.assert_close(one, other, **CLOSE)
        assert torch.equal(h, kept)


def test_free_u_2_weights_the_backbone_by_its_mean() -> None:
    h, skip = torch.randn(2, 64, 6, 7), torch.randn(2, 8, 6, 7)
    found, same = FreeU(32, 1.0, 1.6, 1.0, 1.0, by_mean=True)(h, skip, {})
    for item in range(2):
        mean = h[item].mean(0)
        weight = 1 + 0.6 * (mean - mean.min()) / (mean.max() - mean.min())
        torch.testing.assert_close(found[item, :32], h[item, :32] * weight, **CLOSE)
        assert torch.equal(found[item, 32:], h[item, 32:])
    assert same is skip


def test_free_u_2_of_a_single_position_keeps_it() -> None:
    h, skip = torch.randn(2, 64, 1, 1), torch.randn(2, 8, 1, 1)
    assert torch.equal(FreeU(32, 1.0, 1.6, 1.0, 1.0, by_mean=True)(h, skip, {})[0], h)


def test_free_u_concerns_wide_blocks_alone() -> None:
    h, skip = torch.randn(1, 32, 8, 8), torch.randn(1, 32, 8, 8)
    assert FreeU(32, 1.3, 1.4, 0.9, 0.2)(h, skip, {}) == (h, skip)


@pytest.mark.parametrize("node", [network_nodes.free_u, network_nodes.free_u_v2])
def test_free_u_changes_a_picture(model: Model, node: Any) -> None:
    assert (picture(node(model=model)) - picture(model)).abs().max() > 1e-3


# -- HyperTile ---------------------------------------------------------------------------------------------------


def test_tile_counts_are_the_largest_divisors() -> None:
    random = torch.Generator().manual_seed(1)
    assert {tile_count(48, 8, 1, random) for _ in range(20)} == {6}
    assert {tile_count(48, 8, 3, random) for _ in range(60)} == {6, 4, 3}
    assert tile_count(4, 8, 3, random) == 1 and tile_count(17, 4, 2, random) == 1


def test_a_tile_attends_to_itself_alone() -> None:
    change = HyperTile(32, 1, 0, False)
    q, k, v = (torch.randn(2, 8 * 12, 6) for _ in range(3))
    options: dict[str, Any] = {
        "activations_shape": [2, 6, 8, 12],
        "original_shape": [2, 4, 8, 12],
        "generator": torch.Generator().manual_seed(0),
    }
    tiles = change.split(q, k, v, options)
    assert all(tile.shape == (12, 16, 6) for tile in tiles)
    found = change.join(attend(*tiles, heads=2), options).reshape(2, 8, 12, 6)
    for row in (0, 4):
        for column in (0, 4, 8):
            parts = [x.reshape(2, 8, 12, 6)[:, row : row + 4, column : column + 4].reshape(2, 16, 6) for x in (q, k, v)]
            expected = attend(*parts, heads=2).reshape(2, 4, 4, 6)
            torch.testing.assert_close(found[:, row : row + 4, column : column + 4], expected, **CLOSE)
    assert change.join(q, options) is q


def test_tiles_of_halved_feature_maps() -> None:
    options: dict[str, Any] = {
        "activations_shape": [1, 6, 8, 8],
        "original_shape": [1, 4, 16, 16],
        "generator": torch.Generator().manual_seed(0),
    }
    q = torch.randn(1, 64, 6)
    assert HyperTile(32, 1, 0, False).split(q, q, q, dict(options))[0] is q
    assert HyperTile(32, 1, 1, False).split(q, q, q, dict(options))[0].shape == (4, 16, 6)
    assert HyperTile(32, 1, 1, True).split(q, q, q, dict(options))[0] is q  # 4 · 2 tokens a side: one tile


def test_hyper_tile_in_a_run(model: Model) -> None:
    one_tile = network_nodes.hyper_tile(model=model, tile_size=2048, max_depth=10)
    torch.testing.assert_close(picture(one_tile), picture(model), **CLOSE)
    tiled = network_nodes.hyper_tile(model=model, tile_size=32, swap_size=3)
    assert (picture(tiled) - picture(model)).abs().max() > 1e-3
    assert torch.equal(picture(tiled), picture(tiled))
    assert any((picture(tiled, seed=seed) - picture(tiled)).abs().max() > 1e-4 for seed in range(4, 8))


# -- token merging -----------------------------------------------------------------------------------------------


def pairing(x: Tensor, height: int, width: int, count: int) -> MergedTokens:
    found = MergedTokens.of(x, height, width, count, torch.Generator().manual_seed(1))
    assert found is not None
    return found


def test_merged_tokens_are_averaged_and_copied_back() -> None:
    height, width = 5, 6
    x = torch.randn(2, height * width, 3)
    found = pairing(x, height, width, 10)
    merged = found.merge(x)
    assert merged.shape == (2, 20, 3)
    assert found.destinations.shape == (2, 6, 1)
    whole = found.unmerge(merged)
    for item in range(2):
        sources = found.sources[item, :, 0].tolist()
        destinations = found.destinations[item, :, 0].tolist()
        groups: dict[int, list[int]] = {position: [position] for position in destinations}
        for source, into in zip(found.merged[item, :, 0].tolist(), found.into[item, :, 0].tolist(), strict=True):
            groups[destinations[into]].append(sources[source])
        for members in groups.values():
            for member in members:
                torch.testing.assert_close(whole[item, member], x[item, members].mean(0), **CLOSE)
        for source in found.kept[item, :, 0].tolist():
            assert torch.equal(whole[item, sources[source]], x[item, sources[source]])


def test_the_most_similar_tokens_are_merged() -> None:
    x = torch.randn(1, 64, 5)
    found = pairing(x, 8, 8, 20)
    direction = F.normalize(x[0], dim=1)
    similarity = direction[found.sources[0, :, 0]] @ direction[found.destinations[0, :, 0]].T
    best = similarity.max(1)
    assert best.values[found.merged[0, :, 0]].min() >= best.values[found.kept[0, :, 0]].max()
    assert torch.equal(best.indices[found.merged[0, :, 0]], found.into[0, :, 0])


def test_one_destination_in_each_2_by_2() -> None:
    destinations = pairing(torch.randn(1, 64, 3), 8, 8, 5).destinations[0, :, 0]
    cells = (destinations // 8 // 2) * 4 + destinations % 8 // 2
    assert sorted(cells.tolist()) == list(range(16))


def test_equal_tokens_merge_without_loss() -> None:
    x = torch.randn(1, 1, 3).expand(1, 64, 3)
    found = pairing(x, 8, 8, 1000)
    assert found.merge(x).shape[1] == 16
    torch.testing.assert_close(found.unmerge(found.merge(x)), x, **CLOSE)


def test_queries_are_merged_at_full_resolution_alone() -> None:
    q, k, v = (torch.randn(1, 64, 6) for _ in range(3))
    options: dict[str, Any] = {
        "activations_shape": [1, 6, 8, 8],
        "original_shape": [1, 4, 8, 8],
        "generator": torch.Generator().manual_seed(0),
    }
    merged, same_k, same_v = TokenMerging(0.5).merge(q, k, v, options)
    assert merged.shape == (1, 32, 6) and same_k is k and same_v is v
    assert TokenMerging(0.5).unmerge(attend(merged, k, v, 2), options).shape == (1, 64, 6)
    halved = {**options, "original_shape": [1, 4, 16, 16]}
    assert TokenMerging(0.5).merge(q, k, v, halved)[0] is q


def test_token_merging_in_a_run(model: Model) -> None:
    changed = network_nodes.tome_patch_model(model=model, ratio=0.5)
    assert (picture(changed) - picture(model)).abs().max() > 1e-3
    assert torch.equal(picture(changed), picture(changed))
    both = network_nodes.tome_patch_model(model=network_nodes.hyper_tile(model=model, tile_size=32), ratio=0.5)
    assert picture(both, size=(18, 14)).isfinite().all()


# -- deep shrink -------------------------------------------------------------------------------------------------


def shrunk(model: Model, **more: Any) -> Model:
    settings: dict[str, Any] = {"block_number": 1, "downscale_method": "bicubic", "upscale_method": "bicubic"}
    return network_nodes.patch_model_add_downscale(model=model, **{**settings, **more})


@pytest.mark.parametrize("after_skip", [True, False])
@pytest.mark.parametrize("method", ["bicubic", "nearest-exact", "bilinear", "area", "bislerp"])
def test_deep_shrink_computes_at_a_lower_resolution(model: Model, after_skip: bool, method: str) -> None:
    sizes: set[tuple[int, ...]] = set()

    def look(h: Tensor, options: Mapping[str, Any]) -> Tensor:
        sizes.add(tuple(h.shape[-2:]))
        return h

    inside = InsideChanges().with_patch("middle_block_patch", look)
    looking = dataclasses.replace(model, changes=ModelChanges(inside=inside))
    changed = shrunk(looking, downscale_after_skip=after_skip, end_percent=1.0, upscale_method=method)
    assert picture(changed, size=(16, 24)).isfinite().all()
    assert sizes == {(4, 6)}


def test_deep_shrink_ends_with_its_percent(model: Model) -> None:
    levels = model.sampling.levels()
    late = torch.tensor([levels.sigma_at(0.4), levels.sigma_at(0.7), 0.0])
    changed = shrunk(model, end_percent=0.35)
    torch.testing.assert_close(picture(changed, sigmas=late), picture(model, sigmas=late), **CLOSE)
    assert (picture(changed) - picture(model)).abs().max() > 1e-3


def test_deep_shrink_leaves_out_the_control_of_the_maps_that_it_resizes() -> None:
    x, timesteps = noisy(), torch.tensor([500.0])
    control = Control([torch.randn(1, 32, 16, 16), None, torch.randn(1, 32, 8, 8)], torch.randn(1, 64, 8, 8))
    (shrink,) = shrunk(model_of(NETWORK), end_percent=1.0).changes.inside.patches["input_block_patch_after_skip"]
    (grow,) = shrunk(model_of(NETWORK), end_percent=1.0).changes.inside.patches["output_block_patch"]
    options = {
        "patches": {"input_block_patch_after_skip": [shrink], "output_block_patch": [grow]},
        "sigmas": torch.tensor([5.0]),
    }
    arguments: dict[str, Any] = {"context": text(1), "transformer_options": options}
    steered = NETWORK(x, timesteps, control=control, **arguments)
    first_alone = NETWORK(x, timesteps, control=Control(control.skips[:1]), **arguments)
    torch.testing.assert_close(steered, first_alone, **CLOSE)
    assert (steered - NETWORK(x, timesteps, **arguments)).abs().max() > 1e-3


def test_deep_shrink_of_odd_sizes_and_enlarging(model: Model) -> None:
    assert picture(shrunk(model, downscale_factor=9.0, end_percent=1.0), size=(11, 5)).isfinite().all()
    assert picture(shrunk(model, downscale_factor=0.5, end_percent=1.0), size=(11, 5)).isfinite().all()


# -- differential diffusion --------------------------------------------------------------------------------------


def test_each_place_changes_for_the_part_of_the_run_that_its_mask_says(model: Model) -> None:
    mask = torch.linspace(0, 1, 16).expand(1, 16, 16)
    seen: list[tuple[float, Tensor]] = []
    changed = network_nodes.differential_diffusion(model=model)
    kept = changed.changes.mask

    def look(step: Any) -> Tensor:
        seen.append((step.sigma, kept(step)))
        return seen[-1][1]

    changed = dataclasses.replace(changed, changes=dataclasses.replace(changed.changes, mask=look))
    picture(changed, steps=5, latent=noisy(), noise_mask=mask)
    levels = model.sampling.levels()
    for sigma, found in seen:
        left = levels.timestep(sigma) / levels.timestep(levels.sigma_max)
        assert torch.equal(found[0, 0], (mask[0] >= left).float())
    assert len(seen) == 5


def test_differential_diffusion_of_a_white_mask_is_a_whole_run(model: Model) -> None:
    changed = network_nodes.differential_diffusion(model=model)
    white = {"noise_mask": torch.ones(1, 16, 16), "latent": noisy()}
    torch.testing.assert_close(picture(changed, **white), picture(model, latent=noisy()), **CLOSE)
    half = network_nodes.differential_diffusion(model=model, strength=0.5)
    grey = {"noise_mask": torch.full((1, 16, 16), 0.5), "latent": noisy()}
    assert picture(half, **grey).isfinite().all()
    assert (picture(half, **grey) - picture(changed, **grey)).abs().max() > 1e-3


def test_a_run_between_equal_timesteps_regenerates_all(model: Model) -> None:
    changed = network_nodes.differential_diffusion(model=model)
    smallest = model.sampling.levels().sigma_min
    sigmas = torch.tensor([smallest, 0.0])
    grey = {"noise_mask": torch.full((1, 16, 16), 0.5), "latent": noisy(), "sigmas": sigmas}
    torch.testing.assert_close(picture(changed, **grey), picture(model, latent=noisy(), sigmas=sigmas), **CLOSE)


def test_free_u_finds_the_widths_of_the_network() -> None:
    """Its first block's width decides which blocks are meant."""
    config = UNetConfig(
        model_channels=32,
        channel_mult=(1, 2, 4),
        res_blocks=(1, 1, 1),
        input_depth=(0, 0, 0),
        middle_depth=0,
        output_depth=(0, 0, 0, 0, 0, 0),
        context_width=16,
    )
    model = network_nodes.free_u(model=model_of(small_unet(config)), b1=1.3, b2=1.0, s1=1.0, s2=1.0)
    widths: list[tuple[int, bool]] = []
    (change,) = model.changes.inside.patches["output_block_patch"]

    def look(h: Tensor, skip: Tensor, options: Any) -> tuple[Tensor, Tensor]:
        changed = change(h, skip, options)
        widths.append((h.shape[1], not torch.equal(changed[0], h)))
        return changed

    inside = InsideChanges().with_patch("output_block_patch", look)
    picture(dataclasses.replace(model, changes=ModelChanges(inside=inside)), steps=1)
    assert widths == [(128, True), (128, True), (128, True), (64, False), (64, False), (32, False)]
