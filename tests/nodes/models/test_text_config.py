"""A text encoder's size is read from its tensors."""

import pytest

from nodes.models.text_config import (
    CHECKPOINT_PREFIX,
    TextConfig,
    UnknownTextEncoderError,
    detect_text,
    expected_shapes,
    text_prefixes,
)

SIZES = [
    TextConfig(),
    TextConfig(width=128, layers=4, mlp=512),
    TextConfig(width=1280, layers=32, mlp=5120, activation="gelu", projection=1280),
]


@pytest.mark.parametrize("config", SIZES)
@pytest.mark.parametrize("prefix", ["", CHECKPOINT_PREFIX, "text_encoder."])
def test_the_size_comes_back_from_the_shapes(config: TextConfig, prefix: str) -> None:
    shapes = {prefix + name: shape for name, shape in expected_shapes(config).items()}
    assert text_prefixes(shapes) == [prefix]
    assert detect_text(shapes, prefix, config.activation) == config


def test_sd15_has_the_known_size() -> None:
    assert len(expected_shapes(TextConfig())) == 196
    assert TextConfig().parameters == 123_060_480
    assert TextConfig().heads == 12


def test_other_files_are_told_from_text_encoders() -> None:
    assert text_prefixes({"model.diffusion_model.input_blocks.0.0.weight": (320, 4, 3, 3)}) == []
    with pytest.raises(UnknownTextEncoderError, match=r"token_embedding\.weight' or .* is missing"):
        detect_text({"a": (1,)}, "")
    shapes = expected_shapes(TextConfig(width=64, layers=1, mlp=8, vocabulary=1000))
    with pytest.raises(UnknownTextEncoderError, match="vocabulary of 1,000"):
        detect_text(shapes, "")
    with pytest.raises(UnknownTextEncoderError, match="multiple of 64"):
        detect_text({name: tuple(min(n, 50) for n in shape) for name, shape in shapes.items()}, "")
