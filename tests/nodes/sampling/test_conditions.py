"""Where in the picture, when and how strongly a prompt applies."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from nodes.models.handle import ModelSampling
from nodes.models.noise_levels import NoiseLevels
from nodes.sampling.areas import Area, ConditionError
from nodes.sampling.conditions import resolve, share_input, with_partners

LEVELS = NoiseLevels.of(ModelSampling())
LATENT = torch.zeros(1, 4, 32, 48)


def condition(**options: Any):
    return resolve([[torch.zeros(1, 77, 8), options]], LATENT, LEVELS)[0]


def test_without_options_the_whole_picture_counts() -> None:
    whole = condition()
    assert whole.area == (32, 48, 0, 0) and not whole.explicit_area
    assert torch.equal(whole.weight, torch.ones(1, 1, 32, 48))
    assert whole.is_active(math.inf) and whole.is_active(0.0)


def test_area_weights_ramp_over_inner_edges_only() -> None:
    area = condition(area=(16, 40, 16, 4), strength=2.0)
    assert area.area == (16, 40, 16, 4)
    weight = area.weight[0, 0]
    # 16 high: a ramp of 4 at the top, none at the picture's lower edge. 40 wide: 8 at each end.
    assert weight[:, 20].tolist() == pytest.approx([0.5, 1.0, 1.5, 2.0] + [2.0] * 12)
    assert weight[-1].tolist() == pytest.approx(
        [i / 4 for i in range(1, 9)] + [2.0] * 24 + [i / 4 for i in range(8, 0, -1)]
    )


def test_areas_are_cut_to_the_picture_and_given_in_percent() -> None:
    assert condition(area=(64, 64, 8, 40)).area == (24, 8, 8, 40)
    assert condition(area=("percentage", 0.5, 0.25, 0.5, 0.75)).area == (16, 12, 16, 36)
    assert condition(area=("percentage", 0.001, 1.0, 0.0, 0.0)).area == (1, 48, 0, 0)


@pytest.mark.parametrize("area", [(8, 8, 32, 0), (8, 8, 0, 48), (8, 8, -1, 0), (0, 8, 0, 0)])
def test_an_area_outside_the_picture_is_an_error(area: tuple[int, ...]) -> None:
    with pytest.raises(ConditionError, match="lies outside the latent of 48 by 32"):
        condition(area=area)


def test_masks_are_resized_and_take_the_place_of_ramps() -> None:
    mask = torch.zeros(1, 256, 384)
    mask[:, :128] = 1
    masked = condition(mask=mask, mask_strength=0.5, strength=0.5)
    assert masked.weight.shape == (1, 1, 32, 48)
    assert masked.weight[0, 0, 2, 7] == pytest.approx(0.25) and masked.weight[0, 0, 30, 7] == 0
    both = condition(mask=mask, area=(8, 8, 8, 8))
    assert torch.equal(both.weight, torch.ones(1, 1, 8, 8))


def test_a_mask_can_bound_the_area() -> None:
    mask = torch.zeros(32, 48)
    mask[4:20, 10:13] = 1
    bounded = condition(mask=mask, set_area_to_bounds=True)
    assert bounded.area == (16, 8, 4, 10) and bounded.explicit_area
    assert condition(mask=torch.zeros(32, 48), set_area_to_bounds=True).area == (8, 8, 0, 0)


def test_timestep_ranges_are_in_noise_levels() -> None:
    early = condition(start_percent=0.0, end_percent=0.5)
    middle = float(LEVELS.sigma(999 * 0.5))
    assert early.is_active(math.inf) and early.is_active(middle) and not early.is_active(middle * 0.999)
    late = condition(start_percent=0.5, end_percent=1.0)
    assert late.is_active(0.0) and late.is_active(middle) and not late.is_active(middle * 1.001)


def test_an_area_gets_a_partner_with_the_text_of_the_smallest_that_encloses_it() -> None:
    area = condition(area=(8, 8, 8, 8), strength=0.7)
    whole, around, beside = condition(), condition(area=(16, 16, 4, 4)), condition(area=(8, 8, 0, 0))
    *kept, partner = with_partners([whole, around, beside], [area])
    assert kept == [whole, around, beside]
    assert partner.inputs["text"] is around.inputs["text"]
    assert partner.area == area.area and torch.equal(partner.weight, area.weight)
    assert with_partners([whole, area], [condition(area=(8, 8, 8, 8)), condition()]) == [whole, area]
    assert with_partners([beside], [area]) == [beside]
    assert with_partners([whole], [area])[1].inputs["text"] is whole.inputs["text"]


def test_control_is_shared_with_the_other_side() -> None:
    first, second = object(), object()
    positive = [condition(control=first), condition(control=second), condition(area=(8, 8, 0, 0), control=object())]
    negative = [condition(), condition(area=(8, 8, 0, 0)), condition(), condition()]
    shared = share_input("control", positive, negative)
    assert [c.inputs["control"].value if "control" in c.inputs else None for c in shared] == [
        first,
        None,
        second,
        first,
    ]
    own = [condition(control=object()), condition()]
    assert share_input("control", positive, own) == own


def test_enclosing() -> None:
    assert Area(8, 8, 0, 0).encloses(Area(8, 8, 0, 0))
    assert not Area(8, 8, 0, 0).encloses(Area(8, 8, 0, 1))
