"""An item gets the same noise in any batch."""

from __future__ import annotations

from typing import Any

import torch

from nodes.latent import nodes


def latent(count: int, size: int = 8, **more: Any) -> Any:
    return {"samples": torch.arange(float(count)).reshape(-1, 1, 1, 1).expand(count, 4, size, size), **more}


def items(latent: Any) -> list[float]:
    return [float(item[0, 0, 0]) for item in latent["samples"]]


def test_taking_out_remembers_the_place() -> None:
    taken = nodes.latent_from_batch(samples=latent(5), batch_index=2, length=2)
    assert items(taken) == [2, 3] and taken["batch_index"] == [2, 3]
    again = nodes.latent_from_batch(samples=taken, batch_index=1, length=9)
    assert items(again) == [3] and again["batch_index"] == [3]
    beyond = nodes.latent_from_batch(samples=latent(2), batch_index=63, length=64)
    assert items(beyond) == [1] and beyond["batch_index"] == [1]


def test_masks_are_taken_out_with_their_items() -> None:
    masks = torch.arange(2.0).reshape(2, 1, 1, 1).expand(2, 1, 4, 4)
    taken = nodes.latent_from_batch(samples=latent(4, noise_mask=masks), batch_index=1, length=2)
    assert taken["noise_mask"][:, 0, 0, 0].tolist() == [1, 0]
    shared = nodes.latent_from_batch(samples=latent(4, noise_mask=masks[:1]), batch_index=1, length=2)
    assert shared["noise_mask"].shape[0] == 1


def test_repetitions_draw_noise_of_their_own() -> None:
    repeated = nodes.repeat_latent_batch(samples=latent(2, batch_index=[3, 5]), amount=3)
    assert items(repeated) == [0, 1, 0, 1, 0, 1]
    assert repeated["batch_index"] == [3, 5, 6, 8, 9, 11]
    assert "batch_index" not in nodes.repeat_latent_batch(samples=latent(2), amount=3)


def test_joining_keeps_both_sets_of_indices() -> None:
    joined = nodes.latent_batch(samples1=latent(2), samples2=latent(1, size=4, batch_index=[7]))
    assert joined["samples"].shape == (3, 4, 8, 8) and joined["batch_index"] == [0, 1, 7]


def test_a_seed_may_be_shared() -> None:
    fixed = nodes.latent_batch_seed_behavior(samples=latent(3, batch_index=[4, 5, 6]), seed_behavior="fixed")
    assert fixed["batch_index"] == [4, 4, 4]
    assert nodes.latent_batch_seed_behavior(samples=latent(3))["batch_index"] == [0, 0, 0]
    assert "batch_index" not in nodes.latent_batch_seed_behavior(samples=fixed, seed_behavior="random")


def rebatched(latents: list[Any], size: int) -> list[Any]:
    return list(nodes.rebatch_latents(latents=latents, batch_size=[size]))  # type: ignore[arg-type]


def test_rebatching_deals_items_in_order() -> None:
    dealt = rebatched([latent(3), latent(4)], 2)
    assert [items(batch) for batch in dealt] == [[0, 1], [2, 0], [1, 2], [3]]
    assert [batch["batch_index"] for batch in dealt] == [[0, 1], [2, 3], [4, 5], [6]]
    assert not any("noise_mask" in batch for batch in dealt)


def test_rebatching_does_not_mix_shapes() -> None:
    dealt = rebatched([latent(3), latent(2, size=4), latent(1)], 2)
    assert [tuple(batch["samples"].shape[::2]) for batch in dealt] == [(2, 8), (1, 8), (2, 4), (1, 8)]
    assert [batch["batch_index"] for batch in dealt] == [[0, 1], [2], [3, 4], [5]]


def test_rebatching_keeps_masks_where_there_are_any() -> None:
    dealt = rebatched([latent(2), latent(1, noise_mask=torch.zeros(1, 16, 16))], 2)
    assert "noise_mask" not in dealt[0]
    assert dealt[1]["noise_mask"].shape == (1, 1, 64, 64) and not dealt[1]["noise_mask"].any()


def test_nothing_given_is_changed() -> None:
    given = latent(2, batch_index=[3, 5], noise_mask=torch.ones(2, 1, 8, 8))
    before = given["samples"].clone()
    nodes.repeat_latent_batch(samples=given, amount=2)
    nodes.latent_from_batch(samples=given, batch_index=0, length=1)
    nodes.latent_batch_seed_behavior(samples=given, seed_behavior="random")
    rebatched([given], 1)
    assert given["batch_index"] == [3, 5] and torch.equal(given["samples"], before)
