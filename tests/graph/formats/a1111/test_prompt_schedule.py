"""Prompts that change by step, and parts joined by AND, as A1111's web UI reads them."""

from __future__ import annotations

import pytest

from graph.formats.a1111.prompt_schedule import MOST_TEXTS, PromptScheduleError, scheduled_texts, split_parts


def steps_of(text: str, steps: int, before: int = 0) -> list[str]:
    """The text of every step of a run."""
    found = [""] * steps
    for span in scheduled_texts(text, steps, before):
        for first, end in span.steps:
            for step in range(first, steps if end is None else end):
                assert found[step] == "", "two texts for one step"
                found[step] = span.text
    return found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[a:b:5]", ["a"] * 6 + ["b"] * 4),
        ("[a:b:0.5]", ["a"] * 6 + ["b"] * 4),
        ("[a::0.3]x", ["ax"] * 4 + ["x"] * 6),
        ("[:b:3]", [""] * 4 + ["b"] * 6),
        ("[b:3]", [""] * 4 + ["b"] * 6),
        ("[a:b:0]", ["b"] * 10),
        ("[a:b:10]", ["a"] * 10),
        ("[a:b:-2]", ["b"] * 10),
        ("[a|b|c]", list("aabcabcabc")),
        ("[[a|b]:c:4]", list("aabab") + ["c"] * 5),
        ("[(a:1.2):b: 5 ]", ["(a:1.2)"] * 6 + ["b"] * 4),
        ("[a:b:c:5]", ["[a:b:c:5]"] * 10),
        ("[a] (b:0.5) [c:d]", ["[a] (b:0.5) [c:d]"] * 10),
        (r"\[a:b:5] [c", [r"\[a:b:5] [c"] * 10),
        ("[a:b|c:5]", ["[a:b|c:5]"] * 10),
    ],
)
def test_the_text_of_each_of_ten_steps(text: str, expected: list[str]) -> None:
    assert steps_of(text, 10) == expected


def test_a_second_pass_counts_on() -> None:
    assert steps_of("[a:b:25]", 10, 20) == ["a"] * 6 + ["b"] * 4
    assert steps_of("[a:b:1.5]", 10, 20) == ["a"] * 6 + ["b"] * 4
    assert steps_of("[a:b:10]", 10, 20) == steps_of("[a:b:0.5]", 10, 20) == ["b"] * 10


def test_parts_and_their_weights() -> None:
    assert split_parts("a cat AND a dog :0.5 AND c: -1") == [("a cat ", 1.0), (" a dog", 0.5), (" c", -1.0)]
    assert split_parts("SAND (a:1.2)") == [("SAND (a:1.2)", 1.0)]


def test_more_texts_than_can_be_encoded_are_refused() -> None:
    with pytest.raises(PromptScheduleError, match=f"{MOST_TEXTS:,}"):
        scheduled_texts("[1|2|3|4|5|6|7|8|9] [1|2|3|4|5|6|7|8|9|10|11] [1|2|3|4|5|6|7|8|9|10|11|12|13]", 2000)
    with pytest.raises(PromptScheduleError, match="too long"):
        scheduled_texts("[a|b]" * 20_000, 10_000)
