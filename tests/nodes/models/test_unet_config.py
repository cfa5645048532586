from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nodes.models.unet_config import (
    KOALA_1B,
    KOALA_700M,
    SD1,
    SD2,
    SD2_UPSCALER,
    SDXL,
    SDXL_REFINER,
    SSD_1B,
    VEGA,
    UNetConfig,
    expected_shapes,
)
from nodes.models.unet_detection import UnknownUNetError, detect_unet

PREFIX = "model.diffusion_model."


@st.composite
def configs(draw: st.DrawFn) -> UNetConfig:
    levels = draw(st.integers(1, 4))
    mults = draw(st.lists(st.integers(1, 4), min_size=levels, max_size=levels))
    blocks = draw(st.lists(st.integers(1, 3), min_size=levels, max_size=levels))
    depth = st.integers(0, 3)
    down = draw(st.lists(depth, min_size=sum(blocks), max_size=sum(blocks)))
    up = draw(st.lists(depth, min_size=sum(blocks) + levels, max_size=sum(blocks) + levels))
    middle = draw(st.sampled_from([None, 0, 1, 3]))
    has_middle = middle is not None or draw(st.booleans())
    if not any([*down, *up, middle or 0]):
        up[-1] = 1
    return UNetConfig(
        in_channels=draw(st.sampled_from([4, 8, 9])),
        out_channels=draw(st.sampled_from([4, 8])),
        model_channels=64 * draw(st.integers(1, 6)),
        channel_mult=tuple(mults),
        res_blocks=tuple(blocks),
        input_depth=tuple(down),
        middle_depth=middle,
        has_middle=has_middle,
        output_depth=tuple(up),
        context_width=draw(st.integers(1, 2048)),
        adm_in_channels=draw(st.sampled_from([None, 1024, 2816])),
        linear_projections=draw(st.booleans()),
    )


@settings(max_examples=50, deadline=None)
@given(configs(), st.sampled_from(["", PREFIX]))
def test_a_configuration_is_read_back_from_its_shapes(config, prefix):
    shapes = {prefix + name: shape for name, shape in expected_shapes(config).items()}
    assert detect_unet({"first_stage_model.decoder.conv_in.bias": (512,), **shapes}, prefix) == config


@pytest.mark.parametrize(
    ("config", "tensors", "parameters"),
    [
        # Counts as published: SD1.5 859.5 M, SD2.1 865.9 M, SDXL 2567 M and 2.3 G for its refiner.
        (SD1, 686, 859_520_964),
        (SD2, 686, 865_910_724),
        (SDXL, 1680, 2_567_463_684),
        (SDXL_REFINER, 1220, 2_276_000_000),
        # SSD-1B 1.3 B, Segmind Vega 0.74 B, KOALA 1.16 B and 782 M, the 4x upscaler 473 M.
        (SSD_1B, None, 1_330_000_000),
        (VEGA, None, 745_000_000),
        (KOALA_1B, None, 1_160_000_000),
        (KOALA_700M, None, 782_000_000),
        (SD2_UPSCALER, None, 473_000_000),
    ],
)
def test_published_models_have_their_published_sizes(config, tensors, parameters):
    shapes = expected_shapes(config)
    if tensors is None or config is SDXL_REFINER:
        assert config.parameters == pytest.approx(parameters, rel=1e-2)
    else:
        assert config.parameters == parameters
    assert len(shapes) == tensors or tensors is None
    assert replace(detect_unet(shapes), head_count=config.head_count) == config


def test_heads_follow_the_kind_of_projection():
    assert [SD1.heads(channels) for channels in (320, 640, 1280)] == [8, 8, 8]
    assert [SD2.heads(channels) for channels in (320, 640, 1280)] == [5, 10, 20]


def test_the_inpainting_model_has_nine_input_channels():
    assert detect_unet(expected_shapes(replace(SD1, in_channels=9))).in_channels == 9


def test_nothing_there_is_said_with_the_prefix():
    with pytest.raises(UnknownUNetError, match=r"none of its 1 tensors is named model\.diffusion_model\.\*"):
        detect_unet({"lora_up.weight": (4, 4)}, PREFIX)


def test_a_foreign_network_is_named_by_what_it_holds():
    with pytest.raises(UnknownUNetError, match=r"input_blocks\.0\.0\.weight.*double_blocks\.0"):
        detect_unet({"double_blocks.0.img_attn.qkv.weight": (9216, 3072)})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"input_blocks.0.0.weight": (320, 4)}, r"input_blocks\.0\.0\.weight has shape \(320, 4\)"),
        ({"out.2.weight": None}, r"no tensor out\.2\.weight"),
        ({"middle_block.0.in_layers.0.weight": None}, r"no tensor middle_block\.0"),
        ({"input_blocks.4.0.out_layers.3.weight": (100, 640, 3, 3)}, r"not multiples of the first, 320"),
    ],
)
def test_a_damaged_layout_is_named(change, message):
    shapes = {name: shape for name, shape in {**expected_shapes(SD1), **change}.items() if shape is not None}
    with pytest.raises(UnknownUNetError, match=message):
        detect_unet(shapes)


def test_a_network_without_text_is_refused():
    shapes = {name: shape for name, shape in expected_shapes(SD1).items() if "transformer_blocks" not in name}
    with pytest.raises(UnknownUNetError, match="no cross-attention"):
        detect_unet(shapes)


def test_depths_must_fit_the_levels():
    with pytest.raises(ValueError, match="need 8 input and 12 output depths"):
        UNetConfig(input_depth=(1, 1))
