"""The parts of A1111's text: prompts with line breaks, quoted values, settings in odd places."""

from __future__ import annotations

import pytest

from graph.formats.a1111 import is_parameters, parse_parameters

SETTINGS = "Steps: 20, Sampler: Euler a, CFG scale: 7, Seed: 1, Size: 512x768"


def test_the_usual_form() -> None:
    found = parse_parameters(f"a cat, (red:1.2)\nNegative prompt: dog, [blurry]\n{SETTINGS}")
    assert (found.prompt, found.negative) == ("a cat, (red:1.2)", "dog, [blurry]")
    assert found.settings == {"Steps": "20", "Sampler": "Euler a", "CFG scale": "7", "Seed": "1", "Size": "512x768"}


def test_prompts_may_have_several_lines_and_any_line_end() -> None:
    found = parse_parameters(f"a cat,\r\nSteps of a temple\r\n\r\nNegative prompt: dog,\r\nbird\r\n{SETTINGS}\r\n")
    assert found.prompt == "a cat,\nSteps of a temple"
    assert found.negative == "dog,\nbird"


def test_either_prompt_may_be_missing() -> None:
    assert parse_parameters(f"a cat\n{SETTINGS}").negative == ""
    assert parse_parameters(f"Negative prompt: dog\n{SETTINGS}").prompt == ""
    assert parse_parameters(SETTINGS).settings["Seed"] == "1"
    assert parse_parameters("only a prompt").prompt == "only a prompt"


def test_the_words_negative_prompt_inside_a_line_are_text() -> None:
    found = parse_parameters(f"a sign that says Negative prompt: no\nNegative prompt: dog\n{SETTINGS}")
    assert (found.prompt, found.negative) == ("a sign that says Negative prompt: no", "dog")


def test_quoted_values_may_hold_commas_quotes_and_line_breaks() -> None:
    line = (
        SETTINGS
        + ', ControlNet 0: "Module: canny, Weight: 1, Resize: \\"fit\\""'
        + ', Lora hashes: "a: 0123456789ab, b: ba9876543210"'
        + ', Hires prompt: "one,\\ntwo", Civitai resources: [{"type":"lora","weight":0.8},{"a":1}], Version: v1.9.4'
    )
    settings = parse_parameters(f"a\n{line}").settings
    assert settings["ControlNet 0"] == 'Module: canny, Weight: 1, Resize: "fit"'
    assert settings["Lora hashes"] == "a: 0123456789ab, b: ba9876543210"
    assert settings["Hires prompt"] == "one,\ntwo"
    assert settings["Civitai resources"] == '[{"type":"lora","weight":0.8},{"a":1}]'
    assert settings["Version"] == "v1.9.4"


def test_a_quote_that_never_ends_is_text() -> None:
    settings = parse_parameters(f'a\n{SETTINGS}, Model: "odd, Version: v1').settings
    assert settings["Model"] == '"odd' and settings["Version"] == "v1"


def test_lines_behind_the_settings_are_further_settings() -> None:
    found = parse_parameters(f"a cat\n{SETTINGS}\nTemplate: a {{cat|dog}}, red\nNegative Template: x")
    assert found.prompt == "a cat"
    assert found.settings["Template"] == "a {cat|dog}, red"
    assert found.settings["Negative Template"] == "x"


def test_everything_in_one_line() -> None:
    found = parse_parameters(f"a cat Negative prompt: dog {SETTINGS}")
    assert (found.prompt, found.negative, found.settings["Steps"]) == ("a cat", "dog", "20")


def test_settings_without_steps_are_known_by_their_number() -> None:
    found = parse_parameters("a cat\nSampler: Euler, CFG scale: 7, Seed: 4")
    assert (found.prompt, found.settings["Seed"]) == ("a cat", "4")
    assert parse_parameters("a cat\nratio: 3, dog").prompt == "a cat\nratio: 3, dog"


@pytest.mark.parametrize(
    ("text", "known"),
    [
        (f"a\n{SETTINGS}", True),
        ("Steps: 20, Seed: 3", True),
        ("a cat, steps: 20", False),
        ("Steps: 20", False),
        ("", False),
        ('{"1": {"class_type": "A"}}', False),
        ("Seeds: 3, Sampler", False),
    ],
)
def test_parameters_are_told_from_other_text(text: str, known: bool) -> None:
    assert is_parameters(text) is known
