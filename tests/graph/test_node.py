"""A function's signature is its node's schema."""

from typing import Annotated, Any, Literal, NamedTuple

import pytest

from graph.context import Context
from graph.errors import NodeDefinitionError
from graph.node import (
    Choices,
    DynPrompt,
    ExtraPngInfo,
    Files,
    Hint,
    Lazy,
    Listed,
    Named,
    Optional_,
    Prompt,
    Range,
    RawLink,
    Socket,
    SocketOnly,
    UniqueId,
    node,
)
from graph.schema import MISSING, NodeType

Picture = Annotated[Any, Socket("IMAGE")]
Percent = Annotated[float, Range(0.0, 1.0, 0.01), Hint(round=0.001)]


def declared(function: Any) -> NodeType:
    return function.node_type


def test_widgets_bounds_defaults_and_order() -> None:
    @node("Sample", category="test", display_name="A sample")
    def sample(
        *,
        picture: Picture,
        steps: Annotated[int, Range(1, 10_000)] = 20,
        amount: Percent = 0.5,
        text: Annotated[str, Hint(multiline=True)],
        on: bool = True,
        mode: Literal["a", "b"],
        size: Annotated[str, Choices(("x", "y"), as_object=True)] = "y",
    ) -> Picture:
        """Teaches one thing. And another.

        More.
        """
        return picture

    kind = declared(sample)
    assert [i.name for i in kind.inputs] == ["picture", "steps", "amount", "text", "on", "mode", "size"]
    assert [i.type for i in kind.inputs] == ["IMAGE", "INT", "FLOAT", "STRING", "BOOLEAN", "COMBO", "COMBO"]
    steps, amount = kind.by_name["steps"], kind.by_name["amount"]
    assert (steps.default, steps.minimum, steps.maximum, steps.step) == (20, 1, 10_000, None)
    assert (amount.default, amount.step, dict(amount.hints)) == (0.5, 0.01, {"round": 0.001})
    assert kind.by_name["text"].default is MISSING
    assert kind.by_name["mode"].choices == ("a", "b")
    assert kind.by_name["size"].combo_object
    assert all(i.required for i in kind.inputs)
    assert [i.has_widget for i in kind.inputs] == [False, True, True, True, True, True, True]
    assert (kind.name, kind.display_name, kind.description) == ("Sample", "A sample", "Teaches one thing.")
    assert sample(picture=3, text="", mode="a") == 3  # still a plain function


def test_optional_hidden_lazy_and_named_inputs() -> None:
    @node("Rare", category="test")
    def rare(
        *,
        mask: Annotated[Any, Socket("MASK")] | None = None,
        amount: Annotated[float, Optional_] = 1.0,
        other: Annotated[Picture, Lazy, Named("input.0.")],
        link: Annotated[Picture, RawLink],
        text: Annotated[str, SocketOnly],
        name: Annotated[str, Files("checkpoints")],
        node_id: UniqueId,
        prompt: Prompt = None,
        info: ExtraPngInfo = None,
        graph: DynPrompt = None,
        context: Context,
        anything: Any = None,
    ) -> None: ...

    kind = declared(rare)
    assert [i.name for i in kind.inputs if not i.required] == ["mask", "amount"]
    assert kind.by_name["mask"].type == "MASK"
    assert kind.by_name["mask"].default is MISSING
    assert kind.by_name["amount"].default == 1.0
    assert kind.by_name["input.0."].lazy
    assert kind.by_name["input.0."].parameter == "other"
    assert kind.by_name["link"].raw_link
    assert not kind.by_name["text"].has_widget
    assert (kind.by_name["name"].type, kind.by_name["name"].files) == ("COMBO", "checkpoints")
    assert kind.by_name["anything"].type == "*"
    assert kind.hidden == {"node_id": "UNIQUE_ID", "prompt": "PROMPT", "info": "EXTRA_PNGINFO", "graph": "DYNPROMPT"}
    assert kind.context_parameter == "context"
    assert kind.outputs == ()


class Parts(NamedTuple):
    IMAGE: Picture
    sizes: Annotated[int, Listed]
    third: Annotated[float, Named("a name")]


def test_several_outputs_are_a_named_tuple() -> None:
    @node("Split", category="test", output_node=True)
    async def split(*, picture: Picture) -> Parts: ...

    kind = declared(split)
    assert [(o.name, o.type, o.is_list) for o in kind.outputs] == [
        ("IMAGE", "IMAGE", False),
        ("sizes", "INT", True),
        ("a name", "FLOAT", False),
    ]
    assert kind.is_async
    assert kind.output_node


def test_a_nearer_annotation_overrides_the_types_own() -> None:
    @node("Near", category="test")
    def near(*, amount: Annotated[Percent, Range(0.0, 10.0, 0.5)]) -> Annotated[Picture, Named("picture")]: ...

    assert (near.node_type.by_name["amount"].maximum, near.node_type.outputs[0].name) == (10.0, "picture")  # type: ignore[attr-defined]


def test_a_signature_that_says_too_little_is_refused() -> None:
    with pytest.raises(NodeDefinitionError, match=r"node Bare .*'value' has no type"):

        @node("Bare", category="test")
        def bare(*, value) -> int: ...  # type: ignore[no-untyped-def]

    with pytest.raises(NodeDefinitionError, match="keyword-only"):

        @node("Positional", category="test")
        def positional(value: int) -> int: ...

    with pytest.raises(NodeDefinitionError, match="Socket"):

        @node("Unknown", category="test")
        def unknown(*, value: dict[str, int]) -> int: ...


def test_sockets_fit_by_any_common_type() -> None:
    @node("Many", category="test")
    def many(*, value: Annotated[Any, Socket("IMAGE,MASK")]) -> Picture: ...

    value = declared(many).by_name["value"]
    assert value.accepts("MASK")
    assert value.accepts("*")
    assert value.accepts("LATENT,IMAGE")
    assert not value.accepts("LATENT")
