"""Cards: every text is large and strong enough to be read on a node, and nothing is cut off."""

from __future__ import annotations

import math
from collections.abc import Iterator

import PIL.Image
import PIL.ImageDraw
import pytest
import torch

from nodes.drawing import lettering, style
from nodes.drawing.bars import Bar, Bars
from nodes.drawing.card import Block, Columns, Text, caption, card, draw_card
from nodes.drawing.chart import Chart, Series
from nodes.drawing.chips import Chip, Chips
from nodes.drawing.colours import DIVERGING, ColourBar, HeatBar, amounts, heat_over, limit_of, signed
from nodes.drawing.film import Film, Row, framed
from nodes.drawing.matrix import Matrix
from nodes.drawing.table import MOST_ROWS, Table

SMALLEST_ON_A_NODE = 9
"""Height in pixels below which text cannot be read."""

Written = tuple[str, int, str, tuple[int, int, int, int]]


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Written]]:
    """Record text, size, colour and box of everything that Pillow writes."""
    texts: list[Written] = []
    draw = PIL.ImageDraw.ImageDraw.text

    def record(self, place, text, fill, font, anchor, stroke_width) -> None:  # type: ignore[no-untyped-def]
        box = self.textbbox(place, text, font=font, anchor=anchor)
        width, height = self.im.size
        assert box[0] >= -1 and box[1] >= -1 and box[2] <= width + 1 and box[3] <= height + 1, f"'{text}' is cut off"
        texts.append((text, font.size, fill, box))
        draw(self, place, text, fill=fill, font=font, anchor=anchor, stroke_width=stroke_width)

    monkeypatch.setattr(PIL.ImageDraw.ImageDraw, "text", record)
    yield texts


def blocks() -> list[Block]:
    picture, latent = torch.rand(24, 16, 3), torch.randn(6, 4)
    run = [14.6 * 0.7**step for step in range(21)]
    return [
        Text("A sentence that is long enough to be broken into several lines of a card, 中文也一样。" * 2),
        caption("A caption"),
        Film(
            [f"t = {step}" for step in range(7)],
            [Row("pixels", [picture] * 7, ["ᾱ = 0.9991"] * 7), Row("", [signed(latent, 3)] * 7)],
        ),
        Chart(
            [Series(f"schedule_{n}", range(21), [y * (n + 1) for y in run]) for n in range(9)], "step", "σ", log_y=True
        ),
        Chart([Series("β", range(3), [0.00085, 0.002, 0.012])], "timestep", "β", markers=True),
        ColourBar(DIVERGING, "−3", "3", "0"),
        HeatBar("least", "most"),
        Columns([Chart([Series(y, range(21), run)], "timestep", y, x_ticks=(0, 10, 20)) for y in "βσ"]),
        Bars([Bar("a label " * 20, 3.0, "3.0 of 9"), Bar("苹果", 0.0, "0")], 9),
        Chips([Chip("word", "1125 ×1.4"), Chip("piece", joined=True), Chip("long " * 40), *[Chip("cat", "2368")] * 40]),
        Table(["piece", "id"], [["苹果", "1125"], ["a word " * 30, "2"]]),
        Matrix(["苹果", "a label " * 20], [f"column {n}" for n in range(50)], torch.rand(2, 50)),
        Matrix(["one", "two"], ["red", "green"], torch.tensor([[0.0, 1.0], [0.5, math.nan]])),
    ]


def test_all_text_of_a_card_is_readable_at_the_size_of_a_node(written: list[Written]) -> None:
    card("标题 title", *blocks())
    scale = style.NODE_WIDTH / style.WIDTH
    assert len(written) > 100
    assert {text for text, size, *_ in written if size * scale < SMALLEST_ON_A_NODE} == set()


def test_text_stands_out_from_the_paper() -> None:
    for ground in (style.PAPER, style.STRIPE):
        assert style.contrast(style.INK, ground) >= 7
        assert style.contrast(style.MUTED, ground) >= 4.5
    assert [colour for colour in (*style.SERIES, style.FAINT) if style.contrast(colour, style.PAPER) < 3] == []
    assert style.contrast("#000000", "#ffffff") == pytest.approx(21)


def test_numbers_in_a_matrix_stand_out_from_every_colour(written: list[Written]) -> None:
    values = torch.linspace(0, 1, 40).view(10, 4)
    picture = draw_card("", [Matrix([""] * 10, [str(n) for n in range(4)], values)])
    numbers = [(text, colour) for text, _, colour, _ in written if "." in text]
    assert len(numbers) == 40 and picture.width == style.WIDTH
    for (text, colour), value in zip(numbers, values.flatten(), strict=True):
        ground = "#{:02x}{:02x}{:02x}".format(*(int(255 * c) for c in amounts(value)))
        assert text == f"{value:.2f}" and style.contrast(colour, ground) >= 4.5


def test_a_card_is_an_image_with_its_own_background() -> None:
    picture = card("title", caption("text"))
    assert picture.shape[0] == 1 and picture.shape[2:] == (style.WIDTH, 3) and picture.dtype == torch.float32
    paper = torch.tensor([int(style.PAPER[at : at + 2], 16) / 255 for at in (1, 3, 5)])
    assert torch.allclose(picture[0, 5, 5], paper) and picture.min() < 0.2


@pytest.mark.parametrize("text", ["苹果 红色 繁體 蘋果", "ᾱ σ ε √ × − → ½ ≈ ğ ŀ Ж ç", "のりんご", "\u010f\u0120ĠÆĻ"])
def test_the_font_that_comes_with_sumi_has_the_letters(text: str) -> None:
    assert [character for character in text if not lettering.has_glyph(character)] == []
    assert not lettering.has_glyph("\U0001f34e")


def test_the_font_covers_simplified_and_traditional_chinese() -> None:
    for codec, first in (("gb2312", 0xB0), ("big5", 0xA4)):
        row = bytes(byte for second in range(0xA1, 0xFF) for byte in (first, second)).decode(codec)
        assert all(lettering.has_glyph(character) for character in row)


def test_numbers_have_a_minus_sign() -> None:
    numbers = [lettering.number_text(value, ".2f") for value in (-0.25, -0.001, 0.0, 1.0)]
    assert numbers == ["−0.25", "0.00", "0.00", "1.00"]


def test_wrapped_lines_fit_and_lose_nothing() -> None:
    text = "noise spreads like ink in water 噪声像墨水一样在水里扩散开来 " + "x" * 200
    lines = lettering.wrapped(text, 300, 27)
    assert all(lettering.text_width(line, 27) <= 300 for line in lines)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")


def test_a_film_breaks_into_bands_and_keeps_the_shape_of_its_pictures() -> None:
    wide = torch.rand(8, 32, 3)
    one, two = (Film([""] * count, [Row("", [wide] * count)]).render(852) for count in (5, 6))
    cell = (852 - 4 * style.GAP) // 5
    assert one.height == pytest.approx(lettering.line_height(style.SMALL) + 4 + cell / 4, abs=1)
    assert two.height > 2 * one.height
    with pytest.raises(ValueError, match="1 pictures for 2 labels"):
        Film(["a", "b"], [Row("x", [wide])])


def test_small_pictures_are_enlarged_without_smoothing() -> None:
    checks = torch.tensor([[0.0, 1.0], [1.0, 0.0]]).unsqueeze(-1).expand(-1, -1, 3)
    strip = Film([""], [Row("", [checks])], least_columns=1).render(200)
    inside = strip.crop((10, strip.height - 190, 90, strip.height - 110))
    assert inside.getextrema() == ((0, 0), (0, 0), (0, 0))


def test_colours_of_numbers() -> None:
    below, zero, above = signed(torch.tensor([[-9.0, 0.0, 9.0]]), 3.0)[0]
    assert below[2] > below[0] + 0.4 and above[0] > above[2] + 0.4 and zero.min() > 0.95
    light = amounts(torch.linspace(0, 1, 50)) @ torch.tensor([0.2126, 0.7152, 0.0722])
    assert (light.diff() > 0).all()
    assert torch.allclose(amounts(torch.tensor([math.nan])), torch.full((1, 3), 0.5))
    assert limit_of(torch.tensor([1.0, -2.0, math.inf])) == pytest.approx(2.0, rel=0.01)
    assert limit_of(torch.zeros(3)) == limit_of(torch.tensor([])) == 1.0


def test_heat_darkens_a_picture_where_there_is_none() -> None:
    picture = torch.rand(16, 16, 3)
    cold, hot = heat_over(picture, torch.zeros(4, 4)), heat_over(picture, torch.ones(4, 4))
    assert cold.std() > 0.02 and hot.std() > 0.02, "the picture can be seen below"
    assert hot.mean() > cold.mean() and hot[..., 0].mean() > hot[..., 2].mean() + 0.2
    white = heat_over(torch.ones(16, 16, 3), torch.zeros(4, 4))
    assert white.max() < 0.5 < heat_over(torch.zeros(16, 16, 3), torch.ones(4, 4)).max()


def test_the_bar_of_heat_has_the_colours_that_heat_gives_a_picture() -> None:
    bar = HeatBar("least", "most").render(400)
    for grey, row in ((1.0, 0), (0.0, 23)):
        for heat, column in ((0.0, 0), (1.0, 399)):
            over = heat_over(torch.full((4, 4, 3), grey), torch.full((2, 2), heat))[0, 0]
            assert bar.getpixel((column, row)) == pytest.approx((255 * over).tolist(), abs=3)


def test_one_picture_or_a_high_one_does_not_fill_the_card() -> None:
    square, high = torch.rand(20, 20, 3), torch.rand(600, 40, 3)
    assert Film([""], [Row("", [square])]).render(852).height < 340
    assert Film([""] * 3, [Row("", [high] * 3)]).render(852).height < 480
    assert framed(high, 200).size == (20, 300) and framed(square, 200).size == (200, 200)


def test_long_captions_break_into_lines(written: list[Written]) -> None:
    text = "a dog on a blue background"
    Film([""], [Row("", [torch.rand(8, 8, 3)], [text])]).render(852)
    lines = [line for line, *_ in written if line]
    assert len(lines) == 2 and " ".join(lines) == text
    written.clear()
    Film([""], [Row("", [torch.rand(8, 8, 3)], ["many words " * 20])]).render(852)
    lines = [line for line, *_ in written if line]
    assert len(lines) == 3 and lines[-1].endswith("…")


def test_a_matrix_of_few_columns_has_level_labels_and_room_for_the_rows(written: list[Written]) -> None:
    text = "a dog on a blue background and a cat"
    Matrix([text], ["1", "2"], torch.tensor([[-0.25, 1.0]]), low=-1).render(852)
    assert [line for line, *_ in written] == ["1", "2", text, "−0.25", "1.00"]
    places = {line: box for line, _, _, box in written}
    assert places["1"][2] - places["1"][0] < places["1"][3] - places["1"][1] < 30


def test_axes_of_whole_numbers_have_whole_ticks(written: list[Written]) -> None:
    Chart([Series("y", range(11), [0.1 + step for step in range(11)])], "step", "y").render(852)
    ticks = [line for line, *_ in written if line not in ("step", "y")]
    assert ticks[-3:] == ["0", "5", "10"] and "2.5" in ticks[:-3]
    written.clear()
    Chart([Series("y", range(2), [-0.1, 0.1])], "step", "y").render(852)
    assert [line for line, *_ in written][-3:-1] == ["0", "1"] and "−0.1" in [line for line, *_ in written]


def test_lines_of_a_chart_pass_through_their_points() -> None:
    chart = Chart([Series("y", [0, 5, 10], [0, 10, 0])], "x", "y")
    picture = chart.render(600)
    colour = tuple(int(style.SERIES[0][at : at + 2], 16) for at in (1, 3, 5))
    places = [(x, y) for x in range(picture.width) for y in range(picture.height) if picture.getpixel((x, y)) == colour]
    top = min(places, key=lambda place: place[1])
    left, right = min(places)[0], max(places)[0]
    assert top[0] == pytest.approx((left + right) / 2, abs=4)
    assert max(y for _, y in places) - top[1] == pytest.approx(480 - style.GAP, abs=8)


@pytest.mark.parametrize("values", [[], [1.0], [math.nan, math.inf], [2.0, 2.0], [0.0, -1.0], [1e-30, 1e30]])
@pytest.mark.parametrize("log_y", [False, True])
def test_charts_of_unusual_numbers(values: list[float], log_y: bool, written: list[Written]) -> None:
    assert Chart([Series("y", range(len(values)), values)], "x", "y", log_y=log_y).render(852).width == 852


def test_a_table_as_markdown() -> None:
    table = Table(["piece", "id"], [["a|b\\", "1"], ["two\nlines", "−2,000"]])
    assert table.markdown().splitlines() == [
        "| piece | id |",
        "| --- | ---: |",
        "| a\\|b\\\\ | 1 |",
        "| two lines | −2,000 |",
    ]
    with pytest.raises(ValueError, match="a row of 1 cells under 2 headers"):
        Table(["a", "b"], [["1"]])


def test_a_long_table_says_how_many_rows_the_card_leaves_out(written: list[Written]) -> None:
    table = Table(["n"], [[str(n)] for n in range(MOST_ROWS + 7)])
    table.render(852)
    assert written[-1][0] == "… and 7 more rows in the table"
    assert table.markdown().count("\n") == MOST_ROWS + 8
    assert table.markdown(5).splitlines()[-2:] == ["| 4 |", f"| … and {MOST_ROWS + 2} more rows in the table |"]


def test_bars_are_as_long_as_their_amounts() -> None:
    picture = Bars([Bar("a", 1.0, "1"), Bar("b", 3.0, "3"), Bar("c", 0.0, "0")], maximum=4.0).render(400)
    colour = tuple(int(style.SERIES[0][at : at + 2], 16) for at in (1, 3, 5))
    filled = [sum(picture.getpixel((x, y)) == colour for x in range(400)) for y in range(picture.height)]
    assert sorted(set(filled)) == [0, 100, 300]


def test_chips_break_into_lines_and_joined_ones_touch() -> None:
    short = Chips([Chip("a")] * 3).render(852)
    assert Chips([Chip("a")] * 60).render(852).height > 2 * short.height
    apart, joined = (Chips([Chip("a"), Chip("b", joined=flag)]).render(852) for flag in (False, True))
    right = [
        max(x for x in range(852) if picture.getpixel((x, 20)) != picture.getpixel((851, 20)))
        for picture in (apart, joined)
    ]
    assert right[0] - right[1] == style.GAP - 2


def test_a_character_without_a_glyph_is_written_as_its_name_or_code_point(written: list[Written]) -> None:
    Text("🍎\ufe0f 한\u200dx\n").render(852)
    assert written[0][0] == ":red apple: U+D55Cx"
