"""The stub for Python editors is valid and names every class, input and output, however they are called."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Annotated, Any, Literal, NamedTuple

from graph import Registry
from graph.node import Choices, Files, Named, Socket, node
from graph.writing.stub import stub


class Outputs(NamedTuple):
    good: Annotated[Any, Socket("IMAGE")]
    spaced: Annotated[Any, Socket("IMAGE,MASK"), Named("two words")]
    one: Annotated[Any, Socket("MY TYPE"), Named("same")]
    other: Annotated[Any, Socket("*"), Named("same")]


@node("Odd | class", category="", description='Says """quotes""" \\ and\nlines.')
def odd(
    *,
    picture: Annotated[Any, Socket("IMAGE,MASK")],
    dotted: Annotated[int, Named("a.b")] = 3,
    keyword: Annotated[str, Named("class")] = 'x"y',
    own: Annotated[int, Named("_id")] = 1,
    kind: Literal["a", 'b"c', "d\n"] = "a",
    number: Annotated[Any, Choices((1, 2.5))] = 1,
    file: Annotated[str, Files("loras")],
    size: float = float("inf"),
    anything: Annotated[Any, Socket("*")] = None,
    maybe: int | None = None,
) -> Outputs: ...


@node("Odd_class", category="")
def nearly_the_same() -> None: ...


@node("note", category="")
def called_like_a_method(*, text: str = "") -> int: ...


def functions(tree: ast.Module) -> Iterator[ast.FunctionDef]:
    [builder] = [each for each in tree.body if isinstance(each, ast.ClassDef) and each.name == "Builder"]
    yield from (each for each in builder.body if isinstance(each, ast.FunctionDef))


def names(function: ast.FunctionDef) -> set[str]:
    return {argument.arg for argument in function.args.kwonlyargs}


def test_every_node_of_the_registry_is_a_method(registry: Registry) -> None:
    found = {function.name: function for function in functions(ast.parse(stub(registry)))}
    assert {name for name in registry if name.isidentifier()} <= found.keys()
    sampler = found["KSampler"]
    assert {"model", "seed", "sampler_name", "_id", "_title", "_at", "_inputs"} <= names(sampler)
    defaults = dict(zip((each.arg for each in sampler.args.kwonlyargs), sampler.args.kw_defaults, strict=True))
    assert ast.literal_eval(defaults["steps"]) == 20 and defaults["model"] is None
    assert ast.get_docstring(sampler) == registry["KSampler"].description


def test_odd_names_are_valid_python() -> None:
    types: list[Any] = [odd, nearly_the_same, called_like_a_method]
    text = stub(Registry({each.node_type.name: each.node_type for each in types}))
    tree = ast.parse(text)
    overloads = [function for function in functions(tree) if function.name == "node"]
    chosen = [ast.unparse(each.args.posonlyargs[1].annotation) for each in overloads if each.args.posonlyargs]
    assert chosen == ["Literal['Odd | class']", "Literal['note']", "str"]
    assert {"picture", "kind", "number", "file", "size", "anything", "maybe", "_inputs"} <= names(overloads[0])
    assert not {"a.b", "class"} & names(overloads[0])
    classes = [each.name for each in tree.body if isinstance(each, ast.ClassDef)]
    assert len(classes) == len(set(classes)), "two classes of the same name"
    assert "'a.b': int | _Out[_INT] | Link" in ast.unparse(tree)
    [outputs] = [each for each in tree.body if isinstance(each, ast.ClassDef) and each.name == "_Odd_class_node"]
    assert [ast.unparse(each) for each in outputs.body] == ["good: _Out[_IMAGE]"]
    assert "tuple[_Out[_IMAGE], _Out[_IMAGE] | _Out[_MASK], _Out[_MY_TYPE], _Out[Any]]" in ast.unparse(outputs)
