"""Help texts of the nodes for numbers, texts and logic."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

FIELDS: Final[Mapping[str, Mapping[str, str]]] = {
    "PrimitiveInt": {
        "value": "The number.",
    },
    "PrimitiveFloat": {
        "value": "The number.",
    },
    "PrimitiveBoolean": {
        "value": "True or false.",
    },
    "PreviewAny": {
        "source": "The value to show.",
    },
    "StringConcatenate": {
        "delimiter": "The text between the two.",
    },
    "StringSubstring": {
        "start": "Position of the first character, from 0. Negative numbers count from the end.",
        "end": "Position after the last character. Negative numbers count from the end.",
    },
    "CaseConverter": {
        "mode": "The letters to convert to.",
    },
    "StringTrim": {
        "mode": "The ends to trim.",
    },
    "StringReplace": {
        "replace": "The text to put in its place.",
        "find": "The text to look for.",
    },
    "StringContains": {
        "substring": "The text to look for.",
    },
    "StringCompare": {
        "mode": "How the first text is compared with the second.",
    },
    "RegexExtract": {
        "mode": "Whether to return whole matches or one group, and of the first match or of all.",
        "group_index": "Number of the group, counted by opening parentheses. 0 is the whole match.",
    },
    "RegexReplace": {
        "replace": "The text to put in place of each match; \\1 is the first group.",
        "count": "Largest number of replacements; 0 for all.",
    },
    "ComfySwitchNode": {
        "switch": "Which value is passed on.",
        "on_false": "The value if the switch is off. It is computed only then.",
        "on_true": "The value if the switch is on. It is computed only then.",
    },
    "ComfyNotNode": {
        "value": "The value to negate.",
    },
    "ComfyAndNode": {
        "values": "The values to check.",
        "values.value": "One more value. A free socket appears when all are linked.",
    },
    "ComfyOrNode": {
        "values": "The values to check.",
        "values.value": "One more value. A free socket appears when all are linked.",
    },
    "ComfyPassOrNoneNode": {
        "anything": "The value to pass on.",
        "default": "The value if the other is missing.",
    },
    "CustomCombo": {
        "choice": "The chosen text.",
    },
    "ComfyMathExpression": {
        "values": "The numbers that the expression can use, as a, b, c …",
        "values.value": "One of the expression's numbers. A free socket appears when all are linked.",
        "expression": "The expression, for example a * 2 + b.",
    },
    "ComfyNumberConvert": {
        "value": "The number, text or switch to convert.",
    },
    "ResolutionSelector": {
        "aspect_ratio": "Width to height.",
    },
}
