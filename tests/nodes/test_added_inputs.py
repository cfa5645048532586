"""Inputs that a node got after its first release: API files that lack them are accepted and get the default."""

from __future__ import annotations

import pytest

from graph.plan.inputs import read_inputs
from graph.plan.kind import Kind
from graph.schema import MISSING
from graph.workflow import Link
from nodes import registry

ADDED = {
    ("UNETLoader", "weight_dtype"): "default",
    ("CLIPLoader", "type"): "stable_diffusion",
    ("CLIPVisionEncode", "crop"): "center",
    ("StyleModelApply", "strength"): 1.0,
    ("StyleModelApply", "strength_type"): "multiply",
    ("BasicScheduler", "denoise"): 1.0,
    ("SDTurboScheduler", "denoise"): 1.0,
    ("AlignYourStepsScheduler", "denoise"): 1.0,
    ("VAEEncodeForInpaint", "grow_mask_by"): 6,
    ("LatentCompositeMasked", "resize_source"): False,
    ("ImageCompositeMasked", "resize_source"): False,
}
REGISTRY = registry()


@pytest.mark.parametrize(("name", "added"), ADDED)
def test_added_inputs_have_a_value_for_files_that_lack_them(name: str, added: str) -> None:
    declared = REGISTRY[name].by_name[added]
    assert declared.required and declared.added_later
    assert declared.filled_in == ADDED[name, added]
    given = {each.name: Link("1", 0) for each in REGISTRY[name].inputs if each is not declared}
    literals, _ = read_inputs(Kind(REGISTRY[name], ""), given)
    assert literals == {added: ADDED[name, added]}


def test_other_choices_have_none() -> None:
    assert REGISTRY["KSampler"].by_name["sampler_name"].filled_in is MISSING
