"""The conditioning nodes set the right options of entries and do not modify their inputs."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch

from nodes.conditioning import nodes
from nodes.conditioning.entries import Conditioning, ConditioningError


def entry(tokens: int = 77, width: int = 8, seed: int = 0, pooled: bool = True, **options: Any) -> list[Any]:
    generator = torch.Generator().manual_seed(seed)
    vectors = {"pooled_output": torch.randn(1, width, generator=generator)} if pooled else {}
    return [torch.randn(1, tokens, width, generator=generator), {**vectors, **options}]


def tensors(conditioning: Conditioning) -> Iterator[torch.Tensor]:
    for embedding, options in conditioning:
        yield embedding
        yield from (value for value in options.values() if isinstance(value, torch.Tensor))


def test_combine_is_a_longer_list() -> None:
    a, b = [entry(seed=1)], [entry(seed=2), entry(seed=3)]
    assert nodes.conditioning_combine(conditioning_1=a, conditioning_2=b) == [*a, *b]


def test_concat_puts_the_first_entry_behind_each() -> None:
    to, source = [entry(77, seed=1, area=(1, 2, 3, 4)), entry(154, seed=2)], [entry(77, seed=3), entry(seed=4)]
    result = nodes.conditioning_concat(conditioning_to=to, conditioning_from=source)
    assert [embedding.shape[1] for embedding, _ in result] == [154, 231]
    assert torch.equal(result[0][0], torch.cat([to[0][0], source[0][0]], dim=1))
    assert result[0][1]["area"] == (1, 2, 3, 4)
    assert torch.equal(result[0][1]["pooled_output"], to[0][1]["pooled_output"])


@pytest.mark.parametrize(("to_tokens", "from_tokens"), [(77, 77), (154, 77), (77, 154)])
def test_average_blends_embeddings_and_pooled_outputs(to_tokens: int, from_tokens: int) -> None:
    to, source = [entry(to_tokens, seed=1), entry(to_tokens, seed=2)], [entry(from_tokens, seed=3)]
    result = nodes.conditioning_average(conditioning_to=to, conditioning_from=source, conditioning_to_strength=0.75)
    other = torch.zeros(1, to_tokens, 8)
    shared = min(to_tokens, from_tokens)
    other[:, :shared] = source[0][0][:, :shared]
    for (embedding, options), (before, before_options) in zip(result, to, strict=True):
        assert torch.allclose(embedding, 0.75 * before + 0.25 * other)
        expected = 0.75 * before_options["pooled_output"] + 0.25 * source[0][1]["pooled_output"]
        assert torch.allclose(options["pooled_output"], expected)


def test_average_without_pooled_outputs() -> None:
    bare, full = [entry(pooled=False)], [entry(seed=1)]
    taken = nodes.conditioning_average(conditioning_to=bare, conditioning_from=full, conditioning_to_strength=0.5)
    assert torch.equal(taken[0][1]["pooled_output"], full[0][1]["pooled_output"])
    kept = nodes.conditioning_average(conditioning_to=full, conditioning_from=bare, conditioning_to_strength=0.5)
    assert torch.equal(kept[0][1]["pooled_output"], full[0][1]["pooled_output"])


@pytest.mark.parametrize("node", [nodes.conditioning_average, nodes.conditioning_concat])
def test_what_does_not_go_together_is_refused(node: Callable[..., Conditioning]) -> None:
    with pytest.raises(ConditioningError, match="8 and 16 wide"):
        node(conditioning_to=[entry()], conditioning_from=[entry(width=16)])
    with pytest.raises(ConditioningError, match="no entries"):
        node(conditioning_to=[entry()], conditioning_from=[])


def test_areas_are_height_width_y_x() -> None:
    [[_, options]] = nodes.conditioning_set_area(conditioning=[entry()], width=512, height=256, x=64, y=8, strength=0.7)
    assert options["area"] == (32, 64, 1, 8)
    assert options["strength"] == 0.7 and options["set_area_to_bounds"] is False
    [[_, options]] = nodes.conditioning_set_area_percentage(
        conditioning=[entry()], width=0.5, height=0.25, x=0.125, y=0, strength=2.0
    )
    assert options["area"] == ("percentage", 0.25, 0.5, 0, 0.125) and options["strength"] == 2.0


def test_strength_keeps_the_area() -> None:
    [[_, options]] = nodes.conditioning_set_area_strength(conditioning=[entry(area=(1, 2, 3, 4))], strength=3.0)
    assert options["area"] == (1, 2, 3, 4) and options["strength"] == 3.0


@pytest.mark.parametrize(("choice", "crop"), [("default", False), ("mask bounds", True)])
def test_masks_get_a_batch_dimension(choice: Any, crop: bool) -> None:
    for mask in (torch.rand(16, 24), torch.rand(1, 16, 24)):
        [[_, options]] = nodes.conditioning_set_mask(
            conditioning=[entry()], mask=mask, strength=0.5, set_cond_area=choice
        )
        assert options["mask"].shape == (1, 16, 24)
        assert options["mask_strength"] == 0.5 and options["set_area_to_bounds"] is crop


def test_a_timestep_range() -> None:
    [[_, options]] = nodes.conditioning_set_timestep_range(conditioning=[entry()], start=0.2, end=0.8)
    assert (options["start_percent"], options["end_percent"]) == (0.2, 0.8)


def test_zero_out() -> None:
    result = nodes.conditioning_zero_out(conditioning=[entry(strength=2.0), entry(pooled=False)])
    assert [tuple(tensor.shape) for tensor in tensors(result)] == [(1, 77, 8), (1, 8), (1, 77, 8)]
    assert all(not tensor.any() for tensor in tensors(result))
    assert result[0][1]["strength"] == 2.0 and "pooled_output" not in result[1][1]


@pytest.mark.parametrize(
    "change",
    [
        lambda c: nodes.conditioning_average(conditioning_to=c, conditioning_from=c, conditioning_to_strength=0.5),
        lambda c: nodes.conditioning_concat(conditioning_to=c, conditioning_from=c),
        lambda c: nodes.conditioning_combine(conditioning_1=c, conditioning_2=c),
        lambda c: nodes.conditioning_set_area(conditioning=c),
        lambda c: nodes.conditioning_set_area_percentage(conditioning=c),
        lambda c: nodes.conditioning_set_area_strength(conditioning=c),
        lambda c: nodes.conditioning_set_mask(conditioning=c, mask=torch.ones(8, 8), set_cond_area="default"),
        lambda c: nodes.conditioning_set_timestep_range(conditioning=c),
        lambda c: nodes.conditioning_zero_out(conditioning=c),
    ],
)
def test_inputs_are_left_as_they_are(change: Callable[[Conditioning], Conditioning]) -> None:
    given = [entry(seed=1), entry(seed=2, pooled=False)]
    before = [[embedding.clone(), dict(options)] for embedding, options in given]
    result = change(given)
    assert len(given) == 2 and result is not given
    for (embedding, options), (old, old_options) in zip(given, before, strict=True):
        assert torch.equal(embedding, old) and list(options) == list(old_options)
