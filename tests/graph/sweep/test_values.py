"""The texts that list a sweep's values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from graph.folders import Folders, ModelFolder
from graph.schema import Input
from graph.sweep.values import MOST_VALUES, ValueTextError, values_in_list, values_in_text

INT = Input("steps", "INT", minimum=1, maximum=10000)
FLOAT = Input("cfg", "FLOAT", step=0.1)
TEXT = Input("text", "STRING")
SAMPLERS = ("euler", "dpmpp_2m", "dpmpp_sde", "ddim")
COMBO = Input("sampler_name", "COMBO", choices=SAMPLERS)


def values(text: str, declared: Input, current: Any = None, folders: Folders | None = None) -> list[Any]:
    return list(values_in_text(text, declared, current, folders).values)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("3,5,7", [3, 5, 7]),
        (" 3 , 5 ", [3, 5]),
        ("3，5", [3, 5]),
        ("1..10", list(range(1, 11))),
        ("1 .. 3", [1, 2, 3]),
        ("10..7", [10, 9, 8, 7]),
        ("1,2..9", [1, 2, 3, 4, 5, 6, 7, 8, 9]),
        ("1,3..9", [1, 3, 5, 7, 9]),
        ("1,3..10", [1, 3, 5, 7, 9]),
        ("9,6..0", [9, 6, 3, 0]),
        ("5..5", [5]),
        ("1..3,10", [1, 2, 3, 10]),
        ("1..3,7..8", [1, 2, 3, 7, 8]),
        ("-2..1", [-2, -1, 0, 1]),
        ("18446744073709551614..18446744073709551615", [2**64 - 2, 2**64 - 1]),
        ("[4, 8]", [4, 8]),
        ("1e2", [100]),
    ],
)
def test_whole_numbers(text: str, expected: list[int]) -> None:
    found = values(text, INT)
    assert found == expected
    assert all(type(value) is int for value in found)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("3,5.5", [3.0, 5.5]),
        ("0.5..0.9", [0.5, 0.6, 0.7, 0.8, 0.9]),
        ("0.1,0.3..0.9", [0.1, 0.3, 0.5, 0.7, 0.9]),
        ("1..4", [1.0, 2.0, 3.0, 4.0]),
        ("0.25..0.28", [0.25, 0.26, 0.27, 0.28]),
        ("-.5,0..1", [-0.5, 0.0, 0.5, 1.0]),
    ],
)
def test_decimal_numbers_are_the_ones_written(text: str, expected: list[float]) -> None:
    assert values(text, FLOAT) == expected


@pytest.mark.parametrize("text", ["", "a", "3,,5", "3,", "1..", "..3", "1...3", "1..2..3", "3 5", "nan", "1,1..5"])
def test_what_are_not_numbers_is_refused(text: str) -> None:
    with pytest.raises(ValueTextError) as caught:
        values(text, INT)
    assert caught.value.expected


def test_a_range_away_from_its_end_is_refused() -> None:
    with pytest.raises(ValueTextError, match="never arrives at 0"):
        values("1,3..0", INT)
    with pytest.raises(ValueTextError, match="never arrives at 3"):
        values("20,1..3", INT)


def test_a_whole_number_field_takes_no_fractions() -> None:
    with pytest.raises(ValueTextError, match=r"1\.5 is not a whole number"):
        values("1,1.5", INT)


def test_an_endless_range_ends_at_the_limit() -> None:
    with pytest.raises(ValueTextError, match=f"more than {MOST_VALUES} values"):
        values("1..1000000000000", INT)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("euler,ddim", ["euler", "ddim"]),
        ("all", list(SAMPLERS)),
        ("all samplers", list(SAMPLERS)),
        ("All", list(SAMPLERS)),
        ("*", list(SAMPLERS)),
        ("dpmpp_*", ["dpmpp_2m", "dpmpp_sde"]),
        ("ddim, all", ["ddim", "euler", "dpmpp_2m", "dpmpp_sde"]),
        ("eular", ["eular"]),
        ('["ddim"]', ["ddim"]),
    ],
)
def test_choices(text: str, expected: list[str]) -> None:
    assert values(text, COMBO) == expected


def test_a_pattern_without_a_match_is_refused() -> None:
    with pytest.raises(ValueTextError, match="no choice matches 'x\\*'"):
        values("x*", COMBO)


@pytest.mark.parametrize("text", ["1e999999999", "1..1e400", "9" * 50, "1e-400"])
def test_numbers_beyond_all_fields_are_refused_at_once(text: str) -> None:
    with pytest.raises(ValueTextError, match="too large or too small"):
        values(text, FLOAT)


def test_choices_that_are_numbers_stay_numbers() -> None:
    assert values("8,16", Input("bits", "COMBO", choices=(8, 16, 32))) == [8, 16]


def test_a_choice_with_a_comma_or_the_name_all_is_found_as_it_is_written() -> None:
    odd = Input("mode", "COMBO", choices=("a, b", "c", "all"))
    assert values("a, b", odd) == ["a, b"]
    assert values("c,a, b", odd) == ["c", "a, b"]
    assert values("all", odd) == ["all"]


def test_files_are_listed_when_they_are_asked_for(tmp_path: Path) -> None:
    for name in ("a.safetensors", "sub/b.safetensors"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    models = {"loras": ModelFolder((tmp_path,), frozenset({".safetensors"}))}
    folders = Folders(tmp_path, tmp_path, tmp_path, tmp_path, models)
    declared = Input("lora_name", "COMBO", files="loras")
    assert values("all", declared, None, folders) == ["a.safetensors", "sub/b.safetensors"]
    assert values("sub/*", declared, None, folders) == ["sub/b.safetensors"]


def test_switches() -> None:
    switch = Input("add_noise", "BOOLEAN")
    assert values("true,false", switch) == [True, False]
    assert values("all", switch) == [False, True]
    with pytest.raises(ValueTextError, match="neither true nor false"):
        values("yes", switch)


@pytest.mark.parametrize(
    ("text", "current", "expected"),
    [
        ("red|blue", "a red apple", ["a red apple", "a blue apple"]),
        ("red | blue ", "a red apple", ["a red apple", "a blue apple"]),
        ("red|blue", "a bored cat in red", ["a bored cat in red", "a bored cat in blue"]),
        ("cat|dog", "two cats", ["two cats", "two dogs"]),
        ("red|", "a red apple", ["a red apple", "a  apple"]),
        ("红|蓝", "一个红苹果", ["一个红苹果", "一个蓝苹果"]),
        ("a red apple, ripe|a pear, green", "", ["a red apple, ripe", "a pear, green"]),
        ("red|blue", "a pear", ["red", "blue"]),
        ("1,2,3", "anything", ["1,2,3"]),
        ("red, ripe|blue, raw", "a red, ripe apple", ["a red, ripe apple", "a blue, raw apple"]),
        (r"{a\|b}|c", "", ["{a|b}", "c"]),
        ("[1]|[2]", "x", ["[1]", "[2]"]),
        ("(red:1.2)|blue", "a (red:1.2) apple", ["a (red:1.2) apple", "a blue apple"]),
        ("red|blue", "red and red", ["red and red", "blue and blue"]),
    ],
)
def test_words_of_a_text(text: str, current: str, expected: list[str]) -> None:
    assert values(text, TEXT, current) == expected


def test_labels_are_short() -> None:
    assert values_in_text("red|blue", TEXT, "a red apple", None).labels == ("red", "blue")
    assert values_in_text("7,7.5", FLOAT, 1.0, None).labels == ("7", "7.5")
    assert values_in_list([True, "", {"x": 1}]).labels == ("true", "(empty)", '{"x": 1}')


def test_a_long_text_has_a_short_label() -> None:
    (label,) = values_in_list(["x" * 5000]).labels
    assert label == "x" * 200 + "…"


def test_lists_have_a_first_and_a_last() -> None:
    with pytest.raises(ValueTextError, match="no values"):
        values_in_list([])
    with pytest.raises(ValueTextError, match="1001 values"):
        values_in_list(list(range(1001)))
