"""Brackets set weights of words; anything else is text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodes.text.prompt_weights import MAX_DEPTH, parse
from nodes.text.tokenizer import PromptError


@pytest.mark.parametrize(
    ("prompt", "runs"),
    [
        ("", []),
        ("()", []),
        ("a cat", [("a cat", 1.0)]),
        ("a (red) cat", [("a ", 1.0), ("red", 1.1), (" cat", 1.0)]),
        ("(red:1.4)", [("red", 1.4)]),
        ("((red))", [("red", 1.21)]),
        ("((a:1.2) b:1.4)", [("a", 1.2), (" b", 1.4)]),
        ("((a) b:2)", [("a", 2.2), (" b", 2.0)]),
        ("(a)(b:.5)(c:-1)(d:1e1)(e: 2 )", [("a", 1.1), ("b", 0.5), ("c", -1.0), ("d", 10.0), ("e", 2.0)]),
        ("(a:b:1.3)", [("a:b", 1.3)]),
        ("(:1.2)", [(":1.2", 1.1)]),
        ("(a:1.2.3)", [("a:1.2.3", 1.1)]),
        ("(a:)", [("a:", 1.1)]),
        ("(a:nan)(b:inf)(c:1e999)", [("a:nan", 1.1), ("b:inf", 1.1), ("c:1e999", 1.1)]),
        ("[a] {b}", [("[a] {b}", 1.0)]),
        (r"\(a\) (b\):1.3)", [("(a) ", 1.0), ("b)", 1.3)]),
        (r"a\b", [(r"a\b", 1.0)]),
        ("(a b", [("(a b", 1.0)]),
        ("x (a (b) y", [("x ", 1.0), ("(a (b) y", 1.0)]),
        ("(a (b)", [("a ", 1.1), ("(b", 1.1)]),
        ("a) (b:1.2)", [("a) (b:1.2)", 1.0)]),
        ("a) (b (c:1.2)", [("a) (b ", 1.0), ("c", 1.2)]),
    ],
)
def test_runs_and_weights(prompt: str, runs: list[tuple[str, float]]) -> None:
    found = parse(prompt)
    assert [run.text for run in found] == [text for text, _ in runs]
    assert [run.weight for run in found] == pytest.approx([weight for _, weight in runs])


@given(st.text(alphabet=st.sampled_from("ab:1.()\\ "), max_size=40))
def test_any_prompt_gives_its_own_text_in_order(prompt: str) -> None:
    runs = parse(prompt)
    assert all(run.text for run in runs)
    rest = iter(prompt)
    assert all(character in rest for run in runs for character in run.text)


def test_unclosed_brackets_are_text_however_many() -> None:
    assert parse("(" * 10_000) == [("(" * 10_000, 1.0)]


def test_nesting_beyond_sense_is_refused() -> None:
    assert len(parse("(" * MAX_DEPTH + "a" + ")" * MAX_DEPTH)) == 1
    with pytest.raises(PromptError, match="32 deep"):
        parse("(" * 5000 + "a" + ")" * 5000)
