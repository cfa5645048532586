"""The embedded model's training data: colours, concepts and held-out pairs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from models.tiny import concepts as tiny_concepts
from models.tiny import unknown_words
from models.tiny.colour import COLOURS, find_part, from_lch, lch, name_of, oklab, recolour, srgb
from models.tiny.concepts import concepts
from models.tiny.scenes import NEVER_HELD_OUT, holdouts
from models.tiny.unknown_words import HELD_OUT_PROMPTS, chinese, english


def red_ball(side: int = 48) -> np.ndarray:
    """A red disc, lighter to the upper left, with a dark grey square in its middle; RGBA."""
    y, x = np.mgrid[:side, :side] / (side - 1) * 2 - 1
    lightness = 0.6 - 0.12 * (x + y) / 2
    rgb = from_lch(lightness, np.full_like(x, 0.19), np.full_like(x, 27.0))
    rgb[side // 3 : side // 2, side // 3 : side // 2] = 0.25
    return np.concatenate([rgb, (np.hypot(x, y) < 0.95)[..., None]], -1).astype(np.float32)


def test_oklab_has_the_values_of_its_author_for_the_primaries() -> None:
    primaries = oklab(np.eye(3))
    expected = [[0.62796, 0.22486, 0.12585], [0.86644, -0.23389, 0.17950], [0.45201, -0.03246, -0.31153]]
    np.testing.assert_allclose(primaries, expected, atol=1e-4)


def test_oklab_and_back() -> None:
    rgb = np.random.default_rng(0).random((50, 3))
    np.testing.assert_allclose(srgb(oklab(rgb)), rgb, atol=1e-5)


def test_chroma_yields_where_a_screen_has_no_such_colour() -> None:
    shown = from_lch(np.array(0.9), np.array(0.4), np.array(257.0))
    lightness, chroma, hue = lch(oklab(shown))
    assert shown.min() >= 0 and shown.max() <= 1 and chroma < 0.4
    assert lightness == pytest.approx(0.9, abs=0.01)
    assert hue == pytest.approx(257, abs=3)


@pytest.mark.parametrize("colour", COLOURS)
def test_a_recoloured_part_has_the_named_colour(colour: str) -> None:
    ball = red_ball()
    part = find_part(ball, "main")
    painted = oklab(recolour(ball, part, colour)[..., :3])[part.weight > 0.9]
    assert list(COLOURS)[int(name_of(np.median(painted, 0)))] == colour


def test_recolouring_keeps_shading_and_everything_else() -> None:
    ball = red_ball()
    part = find_part(ball, "main")
    blue = recolour(ball, part, "blue")
    inside = part.weight > 0.9
    before, after = oklab(ball[..., :3])[inside][:, 0], oklab(blue[..., :3])[inside][:, 0]
    assert np.corrcoef(before, after)[0, 1] > 0.99
    np.testing.assert_array_equal(blue[part.weight == 0], ball[part.weight == 0])
    assert (part.weight[17:23, 17:23] == 0).all()  # the grey square is not of the part


def test_a_pale_drawing_is_recoloured_by_its_pale_part() -> None:
    ghost = np.ones((16, 16, 4), np.float32) * 0.92
    ghost[6:8, 4:6, :3] = 0.1
    part = find_part(ghost, "main")
    assert part.weight[0, 0] == 1 and part.weight[6, 4] == 0


def test_no_two_concepts_share_a_name() -> None:
    for language in ("en", "zh"):
        names = [name for concept in concepts().values() for name in getattr(concept, language)]
        assert sorted({name for name in names if names.count(name) > 1}) == []


def test_held_out_pairs_are_of_known_concepts_and_spare_the_examples() -> None:
    pairs = holdouts()
    assert len(pairs.colours) == 60 and len(pairs.grounds) == 30
    for name, colour in pairs.colours | pairs.grounds:
        assert name in concepts() and name not in NEVER_HELD_OUT and colour in COLOURS
    assert all(concepts()[name].recolour for name, _ in pairs.colours)


def test_chinese_words_for_unknown_things_share_no_character_with_concepts_or_held_out_prompts() -> None:
    rng = np.random.default_rng(0)
    used = {character for _ in range(2000) for character in chinese(rng)}
    known = {character for concept in concepts().values() for name in concept.zh for character in name}
    assert len(used) > 1000 and not used & known and not used & set("".join(HELD_OUT_PROMPTS))


def test_english_words_for_unknown_things_are_in_no_name_and_no_held_out_prompt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = tmp_path / "emojibase-data" / "en" / "data.json"
    names.parent.mkdir(parents=True)
    names.write_text('[{"emoji": "x", "label": "wonder delicious"}]', "utf-8")
    monkeypatch.setattr(tiny_concepts, "PACKAGES", tmp_path)
    for cached in (tiny_concepts.labels, unknown_words._english):
        cached.cache_clear()
    rng = np.random.default_rng(0)
    used = {english(rng) for _ in range(5000)}
    known = {word for concept in concepts().values() for name in concept.en for word in name.split()}
    assert len(used) > 2000 and not used & known and not used & set(" ".join(HELD_OUT_PROMPTS).split())
    assert not {"wonder", "delicious"} & set(unknown_words._english())
    for cached in (tiny_concepts.labels, unknown_words._english):
        cached.cache_clear()
