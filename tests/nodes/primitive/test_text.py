"""Plain values and texts."""

from __future__ import annotations

from typing import Any

import pytest

from nodes.primitive import nodes
from nodes.primitive.text import PatternError


@pytest.mark.parametrize(
    ("value", "shown"),
    [("as it is", "as it is"), (3, "3"), (0.5, "0.5"), (True, "True"), (None, "None"), (["é", 1], '["é", 1]')],
)
def test_any_value_is_shown(value: Any, shown: str) -> None:
    assert nodes.preview_any(source=value).ui == {"text": [shown]}


def test_what_is_no_data_is_shown_by_its_own_name() -> None:
    assert nodes.preview_any(source={1, 2}).ui == {"text": ["{1, 2}"]}


def test_texts_are_joined_cut_and_changed() -> None:
    assert nodes.string_concatenate(string_a="a", string_b="b", delimiter=", ") == "a, b"
    assert nodes.string_substring(string="abcdef", start=1, end=-1) == "bcde"
    assert nodes.string_length(string="a猫") == 2
    assert nodes.string_trim(string=" a ", mode="Left") == "a "
    assert nodes.string_replace(string="a.a", find=".", replace="-") == "a-a"
    cases = ("UPPERCASE", "lowercase", "Capitalize", "Title Case")
    assert [nodes.case_converter(string="a bC", mode=mode) for mode in cases] == ["A BC", "a bc", "A bc", "A Bc"]


@pytest.mark.parametrize(
    ("mode", "other", "sensitive", "expected"),
    [
        ("Starts With", "AB", True, False),
        ("Starts With", "AB", False, True),
        ("Ends With", "bc", True, True),
        ("Equal", "ABC", False, True),
        ("Equal", "ab", True, False),
    ],
)
def test_texts_are_compared(mode: str, other: str, sensitive: bool, expected: bool) -> None:
    assert nodes.string_compare(string_a="abc", string_b=other, mode=mode, case_sensitive=sensitive) is expected


def test_a_text_is_found_in_another() -> None:
    assert nodes.string_contains(string="Cat", substring="ca", case_sensitive=False)
    assert not nodes.string_contains(string="Cat", substring="ca")


def test_patterns_match_extract_and_replace() -> None:
    text = "one=1\nTWO=22"
    assert nodes.regex_match(string=text, regex_pattern="two")
    assert not nodes.regex_match(string=text, regex_pattern="two", case_insensitive=False)
    assert nodes.regex_match(string=text, regex_pattern="^two", multiline=True)
    assert nodes.regex_match(string=text, regex_pattern="1.two", dotall=True)

    def extract(mode: str, group: int = 1) -> str:
        return nodes.regex_extract(string=text, regex_pattern=r"(\w+)=(\d+)", mode=mode, group_index=group)

    assert extract("First Match") == "one=1"
    assert extract("All Matches") == "one=1\nTWO=22"
    assert extract("First Group", 2) == "1"
    assert extract("All Groups") == "one\nTWO"
    assert extract("First Group", 9) == ""
    assert nodes.regex_replace(string=text, regex_pattern=r"(\w+)=", replace=r"\1:") == "one:1\nTWO:22"
    assert nodes.regex_replace(string="aaa", regex_pattern="A", replace="b", count=2) == "bba"


def test_what_is_no_pattern_is_said() -> None:
    with pytest.raises(PatternError, match=r"'\(' is not a regular expression"):
        nodes.regex_match(string="", regex_pattern="(")
    with pytest.raises(PatternError, match="cannot replace"):
        nodes.regex_replace(string="a", regex_pattern="a", replace=r"\3")
