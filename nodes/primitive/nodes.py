"""The nodes for plain values and texts."""

from __future__ import annotations

from typing import Annotated, Any

from graph.node import Choices, Hint, Named, Range, Socket, node
from graph.results import NodeResult

LARGEST = 2**63 - 1

Text = Annotated[str, Hint(multiline=True)]
Line = Annotated[str, Hint(multiline=False)]


@node("PrimitiveInt", display_name="Int", category="utils/primitive", environment=False)
def primitive_int(*, value: Annotated[int, Range(-LARGEST, LARGEST), Hint(control_after_generate=True)]) -> int:
    """Provide an integer for one or several inputs."""
    return value


@node("PrimitiveFloat", display_name="Float", category="utils/primitive", environment=False)
def primitive_float(*, value: Annotated[float, Range(-LARGEST, LARGEST)]) -> float:
    """Provide a number, with or without decimals."""
    return value


@node("PrimitiveString", display_name="String", category="utils/primitive", environment=False)
def primitive_string(*, value: Line) -> str:
    """Provide a line of text."""
    return value


@node("PrimitiveStringMultiline", display_name="String (Multiline)", category="utils/primitive", environment=False)
def primitive_string_multiline(*, value: Text) -> str:
    """Provide a text of several lines."""
    return value


@node("PrimitiveBoolean", display_name="Boolean", category="utils/primitive", environment=False)
def primitive_boolean(*, value: bool) -> bool:
    """Provide true or false for one or several switches."""
    return value


@node("PreviewAny", display_name="Preview Any", category="utils", output_node=True)
def preview_any(*, source: Annotated[Any, Socket("*")]) -> NodeResult:
    """Show any value as text."""
    from nodes.primitive import text

    return NodeResult(ui={"text": [text.as_text(source)]})


@node("StringConcatenate", display_name="Concatenate", category="utils/string", environment=False)
def string_concatenate(*, string_a: Text, string_b: Text, delimiter: Line = "") -> str:
    """Join two texts with a delimiter between them."""
    return f"{string_a}{delimiter}{string_b}"


@node("StringSubstring", display_name="Substring", category="utils/string", environment=False)
def string_substring(*, string: Text, start: int, end: int) -> str:
    """Return the characters from ``start`` up to ``end``; negative positions count from the end."""
    return string[start:end]


@node("StringLength", display_name="Length", category="utils/string", environment=False)
def string_length(*, string: Text) -> Annotated[int, Named("length")]:
    """Return the number of characters in a text."""
    return len(string)


@node("CaseConverter", display_name="Case Converter", category="utils/string", environment=False)
def case_converter(
    *,
    string: Text,
    mode: Annotated[str, Choices(("UPPERCASE", "lowercase", "Capitalize", "Title Case"), as_object=True)],
) -> str:
    """Convert a text to upper case, to lower case, or to a capital first letter of the text or of each word."""
    convert = {
        "UPPERCASE": str.upper,
        "lowercase": str.lower,
        "Capitalize": str.capitalize,
        "Title Case": str.title,
    }
    return convert[mode](string)


@node("StringTrim", display_name="Trim", category="utils/string", environment=False)
def string_trim(*, string: Text, mode: Annotated[str, Choices(("Both", "Left", "Right"), as_object=True)]) -> str:
    """Remove white space from the ends of a text."""
    return {"Both": str.strip, "Left": str.lstrip, "Right": str.rstrip}[mode](string)


@node("StringReplace", display_name="Replace", category="utils/string", environment=False)
def string_replace(*, string: Text, find: Text, replace: Text) -> str:
    """Replace every occurrence of one text by another."""
    return string.replace(find, replace)


@node("StringContains", display_name="Contains", category="utils/string", environment=False)
def string_contains(
    *, string: Text, substring: Text, case_sensitive: bool = True
) -> Annotated[bool, Named("contains")]:
    """Whether a text contains another."""
    if case_sensitive:
        return substring in string
    return substring.lower() in string.lower()


@node("StringCompare", display_name="Compare", category="utils/string", environment=False)
def string_compare(
    *,
    string_a: Text,
    string_b: Text,
    mode: Annotated[str, Choices(("Starts With", "Ends With", "Equal"), as_object=True)],
    case_sensitive: bool = True,
) -> bool:
    """Whether a text equals, starts with or ends with another."""
    if not case_sensitive:
        string_a, string_b = string_a.lower(), string_b.lower()
    if mode == "Starts With":
        return string_a.startswith(string_b)
    if mode == "Ends With":
        return string_a.endswith(string_b)
    return string_a == string_b


@node("RegexMatch", display_name="Regex Match", category="utils/string", environment=False)
def regex_match(
    *,
    string: Text,
    regex_pattern: Text,
    case_insensitive: bool = True,
    multiline: bool = False,
    dotall: bool = False,
) -> Annotated[bool, Named("matches")]:
    """Whether a regular expression matches anywhere in a text.

    Raises PatternError for an invalid expression.
    """
    from nodes.primitive import text

    return text.compiled(regex_pattern, case_insensitive, multiline, dotall).search(string) is not None


@node("RegexExtract", display_name="Regex Extract", category="utils/string", environment=False)
def regex_extract(
    *,
    string: Text,
    regex_pattern: Text,
    mode: Annotated[str, Choices(("First Match", "All Matches", "First Group", "All Groups"), as_object=True)],
    case_insensitive: bool = True,
    multiline: bool = False,
    dotall: bool = False,
    group_index: Annotated[int, Range(0, 100)] = 1,
) -> str:
    """Return the match of a regular expression, or of one of its groups, in a text; several matches on separate lines.

    Raises PatternError for an invalid expression.
    """
    from nodes.primitive import text

    pattern = text.compiled(regex_pattern, case_insensitive, multiline, dotall)
    return text.extract(pattern, string, mode, group_index)


@node("RegexReplace", display_name="Regex Replace", category="utils/string", environment=False)
def regex_replace(
    *,
    string: Text,
    regex_pattern: Text,
    replace: Text,
    case_insensitive: bool | None = True,
    multiline: bool | None = False,
    dotall: bool | None = False,
    count: Annotated[int, Range(0, 100)] | None = 0,
) -> str:
    """Replace the matches of a regular expression; a count of 0 replaces all.

    Raises PatternError for an invalid expression.
    """
    from nodes.primitive import text

    pattern = text.compiled(regex_pattern, bool(case_insensitive), bool(multiline), bool(dotall))
    return text.replace(pattern, string, replace, count or 0)
