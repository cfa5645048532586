"""A1111's prompt syntax in Sumi's: each word keeps its weight, and what has no counterpart is listed."""

from __future__ import annotations

import pytest

from graph.formats.a1111.prompts import Lora, read_prompt
from nodes.text.prompt_weights import parse


@pytest.mark.parametrize(
    "text",
    [
        "a cat",
        "a (cat:1.3), (dog), ((bird))",
        r"a \(cat\), (red \(dark\):1.2)",
        "(a (b) c:1.5)",
        "(a (b:1.2), c)",
        "[a]",
        "[[a]] and ([b]) and [(c)]",
        "((a:1.2):0.5)",
        r"\[a\] \\ b",
        "(a, b",
        "[a, b",
        "a) b]",
        "(a:b:1.3)",
        "[a (b:2) [c]] (d",
    ],
)
def test_every_word_weighs_what_it_weighed(text: str) -> None:
    [written] = read_prompt(text).parts
    ours = {word: weight for run, weight in parse(written) for word in run.replace(",", " ").split()}
    assert ours == pytest.approx(WEIGHTS[text], abs=1e-4)


WEIGHTS = {
    "a cat": {"a": 1, "cat": 1},
    "a (cat:1.3), (dog), ((bird))": {"a": 1, "cat": 1.3, "dog": 1.1, "bird": 1.21},
    r"a \(cat\), (red \(dark\):1.2)": {"a": 1, "(cat)": 1, "red": 1.2, "(dark)": 1.2},
    "(a (b) c:1.5)": {"a": 1.5, "b": 1.65, "c": 1.5},
    "(a (b:1.2), c)": {"a": 1.1, "b": 1.32, "c": 1.1},
    "[a]": {"a": 1 / 1.1},
    "[[a]] and ([b]) and [(c)]": {"a": 1 / 1.21, "and": 1, "b": 1, "c": 1},
    "((a:1.2):0.5)": {"a": 0.6},
    r"\[a\] \\ b": {"[a]": 1, "\\": 1, "b": 1},
    "(a, b": {"a": 1.1, "b": 1.1},
    "[a, b": {"a": 1 / 1.1, "b": 1 / 1.1},
    "a) b]": {"a)": 1, "b]": 1},
    "(a:b:1.3)": {"a:b": 1.3},
    "[a (b:2) [c]] (d": {"a": 1 / 1.1, "b": 2 / 1.1, "c": 1 / 1.21, "d": 1.1},
}


@pytest.mark.parametrize("text", ["a (cat:1.3), (dog)", r"a \(b\)", "plain,  text\nwith lines"])
def test_what_means_the_same_stays_as_it_was_written(text: str) -> None:
    assert read_prompt(text).parts == [text]


@pytest.mark.parametrize(
    ("text", "lora"),
    [
        ("<lora:ink>", Lora("ink", 1.0, 1.0)),
        ("<lora:ink:0.8>", Lora("ink", 0.8, 0.8)),
        ("<lora:ink:0.5:0.9>", Lora("ink", 0.9, 0.5)),
        ("<lora:ink:te=0.5:unet=0.25>", Lora("ink", 0.25, 0.5)),
        ("<lora:my ink v1.5:-1>", Lora("my ink v1.5", -1.0, -1.0)),
        ("<lyco:ink:0.7>", Lora("ink", 0.7, 0.7)),
    ],
)
def test_loras_are_taken_out_with_both_strengths(text: str, lora: Lora) -> None:
    found = read_prompt(f"a cat, {text} drawing")
    assert found.loras == [lora] and found.parts == ["a cat, drawing"] and found.notes == []


def test_what_a_lora_says_beyond_its_strengths_is_listed() -> None:
    found = read_prompt("<lora:a:1:lbw=ALL> <hypernet:h:1> a <3 b>")
    assert found.loras == [Lora("a", 1.0, 1.0)] and found.parts == ["a <3 b>"]
    assert found.notes == [
        "<lora:a:1:lbw=ALL>: “lbw=ALL” is not converted.",
        "<hypernet:h:1>: hypernetworks are not converted.",
    ]


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("a [cat:dog:0.5]", "a cat"),
        ("a [dog:10]", "a dog"),
        ("a [cat::0.4] b", "a cat b"),
        ("a [:dog:0.4] b", "a dog b"),
        ("a [cat|dog|bird]", "a cat"),
        ("[a (b:1.2):c:5]", "a (b:1.2)"),
        ("[[a|b]:c:5]", "a"),
    ],
)
def test_words_that_change_during_sampling_keep_their_first_form_and_are_listed(text: str, kept: str) -> None:
    found = read_prompt(text)
    assert found.parts == [kept] and found.notes


def test_square_brackets_with_other_colons_are_weights() -> None:
    found = read_prompt("[ratio: wide]")
    assert found.parts == ["(ratio: wide:0.9091)"] and found.notes == []


def test_break_begins_another_part_with_its_weights() -> None:
    assert read_prompt("a (b:1.2) BREAK c").parts == ["a (b:1.2)", "c"]
    assert read_prompt("(a\nBREAK\nb:1.5)").parts == ["(a:1.5)", "(b:1.5)"]
    assert read_prompt("BREAKFAST").parts == ["BREAKFAST"]
    assert read_prompt("BREAK").parts == [""]


def test_and_is_listed() -> None:
    found = read_prompt("a cat AND a dog :0.7")
    assert found.parts == ["a cat, a dog"] and len(found.notes) == 1


def test_bare_names_of_embeddings_are_marked() -> None:
    known = {"easynegative": "EasyNegative", "bad-hands-5": "sub/bad-hands-5"}
    text = "easynegative, (bad-hands-5:1.2),EASYNEGATIVE a/easynegative not-easynegative embedding:easynegative"
    assert read_prompt(text, known).parts == [
        "embedding:EasyNegative, (embedding:sub/bad-hands-5:1.2),embedding:EasyNegative "
        "a/ embedding:EasyNegative not-easynegative embedding:easynegative"
    ]


def test_deep_and_long_prompts_end() -> None:
    assert len(read_prompt("[" * 5000 + "a" + "]" * 5000).parts) == 1
    assert len(read_prompt("(a:1.1), " * 5000).parts) == 1
