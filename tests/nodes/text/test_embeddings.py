"""Textual inversion: `embedding:name` puts a file's vectors in the place of words."""

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from graph.cache.tree import decode, encode
from graph.context import executing
from graph.folders import Folders
from nodes.model_folders import folders as installation
from nodes.models.checkpoint import CheckpointError
from nodes.models.handle import Clip
from nodes.text.embeddings import embedding_fingerprint, find_embedding, open_embedding
from nodes.text.encoding import encode_tokens
from nodes.text.prompt import tokenize_prompt
from nodes.text.tokens import Token

VECTORS = torch.arange(3 * 64, dtype=torch.float32).reshape(3, 64) / 100


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    (tmp_path / "models/embeddings").mkdir(parents=True)
    return installation(tmp_path)


@pytest.fixture
def place(folders: Folders) -> Callable[[str], Path]:
    return lambda name: folders.model_folders()["embeddings"][0] / name


def text_of(clip: Clip, prompt: str) -> list[Token]:
    [chunk] = tokenize_prompt(clip, prompt)["l"]
    return chunk[1 : next(i for i, token in enumerate(chunk) if token[0] == 49407)]


def words(clip: Clip, prompt: str) -> list[str]:
    return [word for _, _, word in text_of(clip, prompt)]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("e.safetensors", {"emb_params": VECTORS}),
        ("e.safetensors", {"clip_g": torch.zeros(3, 1280), "clip_l": VECTORS}),
        ("e.safetensors", {"<e>": VECTORS}),
        ("e.bin", {"<e>": VECTORS}),
        ("e.pt", {"string_to_token": {"*": 265}, "string_to_param": {"*": VECTORS}, "name": "e", "step": 5}),
        (
            "e.pt",
            {
                "string_to_token": {"*": torch.tensor(265)},
                "string_to_param": torch.nn.ParameterDict({"*": torch.nn.Parameter(VECTORS)}),
            },
        ),
    ],
)
def test_every_kind_of_file_gives_its_vectors(
    place: Callable[[str], Path], folders: Folders, name: str, content: dict[str, Any]
) -> None:
    if name.endswith(".safetensors"):
        save_file(content, place(name))
    else:
        torch.save(content, place(name))
    path = find_embedding("e", folders)
    assert path == place(name)
    embedding = open_embedding(path, "l")
    assert embedding is not None and torch.equal(embedding.vectors(), VECTORS)


def test_one_vector_may_lie_flat(place: Callable[[str], Path]) -> None:
    torch.save({"<e>": VECTORS[0]}, place("e.bin"))
    embedding = open_embedding(place("e.bin"), "l")
    assert embedding is not None and torch.equal(embedding.vectors(), VECTORS[:1])


def test_vectors_of_another_encoder_are_not_taken(place: Callable[[str], Path]) -> None:
    save_file({"clip_g": VECTORS}, place("e.safetensors"))
    assert open_embedding(place("e.safetensors"), "l") is None
    assert open_embedding(place("e.safetensors"), "g") is not None


def test_vectors_stand_among_words(clip: Clip, folders: Folders, place: Callable[[str], Path]) -> None:
    save_file({"emb_params": VECTORS}, place("Style.safetensors"))
    clip = replace(clip, folders=folders)
    vectors = [f"embedding:Style[{number}]" for number in range(3)]
    assert words(clip, "a embedding:Style cat") == ["a</w>", *vectors, "cat</w>"]
    assert words(clip, "embedding:Style, cat") == [*vectors, ",</w>", "cat</w>"]
    assert words(clip, "embedding:Style.safetensors")[0] == "embedding:Style.safetensors[0]"
    weighted = text_of(clip, "a (embedding:Style:1.3)")
    assert weighted[1:] == [({"embedding": "Style", "vector": number}, 1.3, vectors[number]) for number in range(3)]
    assert words(clip, "noembedding:Style")[0] == "no"


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("embedding: Style", ["S"]),
        ("a cat,embedding:Style,dog", ["a", "cat", ",", "S", ",", "dog"]),
        ("embedding:Style, cat", ["S", ",", "cat"]),
        ("embedding:Style,,cat", ["S", ",,", "cat"]),
        ("embedding:Style:cat", ["S", ":", "cat"]),
        ("embedding:Style:1.2", ["S"]),
        ("embedding:Style:1.2, cat", ["S", ",", "cat"]),
        ("embedding:Style:-.5,cat", ["S", ",", "cat"]),
        ("embedding:Style:1.2x", ["S", ":", "1", ".", "2", "x"]),
        ("embedding:Style embedding:Style", ["S", "S"]),
        ("a\nembedding:Style\nb", ["a", "S", "b"]),
        ("embedding:Style,embedding:Style:0.5,embedding:Style", ["S", ",", "S", ",", "S"]),
        ("[embedding:Style]", ["[", "S", "]"]),
        ('"embedding:Style"', ['"', "S", '"']),
        ("'embedding:Style', cat", ["'", "S", "',", "cat"]),
        ("{embedding:Style|embedding:Style}", ["{", "S", "|", "S", "}"]),
        ("<embedding:Style>", ["<", "S", ">"]),
        ("cat.embedding:Style.", ["cat", ".", "S", "."]),
        ("embedding:\nStyle", ["S"]),
        ("[embedding:Style:1.2]", ["[", "S", "]"]),
        ("embedding:Style|embedding:Style", ["S", "|", "S"]),
        ("embedding:", ["embed", "ding", ":"]),
        ("embedding: , cat", ["embed", "ding", ":", ",", "cat"]),
    ],
)
def test_the_name_ends_where_no_file_is_called_so(
    clip: Clip, folders: Folders, place: Callable[[str], Path], prompt: str, expected: list[str]
) -> None:
    save_file({"emb_params": VECTORS[:1]}, place("Style.safetensors"))
    found = [word.removesuffix("</w>") for word in words(replace(clip, folders=folders), prompt)]
    assert [{"embedding:Style[0]": "S"}.get(word, word) for word in found] == expected


@pytest.mark.parametrize("name", ["bad-hands-5", "v1.5_style", "neg.v2-final", "a,b", "aa:1.2", "sub/Deep-er.v2"])
def test_names_may_hold_dots_hyphens_commas_and_folders(
    clip: Clip, folders: Folders, place: Callable[[str], Path], name: str
) -> None:
    path = place(name + ".safetensors")
    path.parent.mkdir(exist_ok=True)
    save_file({"emb_params": VECTORS[:1]}, path)
    clip = replace(clip, folders=folders)
    for prompt in (f"embedding:{name}, cat", f"embedding:{name}.safetensors, cat"):
        assert words(clip, prompt)[1:] == [",</w>", "cat</w>"]
        assert words(clip, prompt)[0].startswith(f"embedding:{name}")
    [(token, weight, _)] = text_of(clip, f"(embedding:{name}:1.3)")
    assert token == {"embedding": name, "vector": 0} and weight == 1.3


def test_a_name_without_its_subfolder_is_found_there(
    clip: Clip, folders: Folders, place: Callable[[str], Path]
) -> None:
    for path in (place("long/est/Style.pt"), place("sub/Style.pt")):
        path.parent.mkdir(parents=True)
        torch.save({"<e>": VECTORS}, path)
    assert find_embedding("Style", folders) == place("sub/Style.pt")
    assert find_embedding("sub\\Style", folders) == place("sub/Style.pt")
    assert find_embedding("other/Style", folders) is None
    assert words(replace(clip, folders=folders), "embedding:Style")[0] == "embedding:Style[0]"


def test_a_number_without_brackets_is_reported(
    clip: Clip, folders: Folders, place: Callable[[str], Path], caplog: pytest.LogCaptureFixture
) -> None:
    save_file({"emb_params": VECTORS[:1]}, place("Style.safetensors"))
    words(replace(clip, folders=folders), "embedding:Style:1.2, cat")
    assert [record.getMessage() for record in caplog.records] == [
        "'embedding:Style:1.2': :1.2 is ignored; write (embedding:Style:1.2)"
    ]


def test_the_node_says_what_is_missing_and_what_is_near(
    clip: Clip, folders: Folders, place: Callable[[str], Path], context: Any
) -> None:
    save_file({"emb_params": VECTORS}, place("bad-hands-5.safetensors"))
    with executing(context):
        tokenize_prompt(replace(clip, folders=folders), "embedding:bad-hand-5, embedding:xyz:0.8")
    missing = "is left out of the prompt: the embeddings folder has no file with this name"
    assert context.warnings == [
        f"embedding 'bad-hand-5' {missing}; did you mean 'bad-hands-5'?",
        "'embedding:xyz:0.8': :0.8 is ignored; write (embedding:xyz:0.8)",
        f"embedding 'xyz' {missing}",
    ]


@pytest.mark.parametrize(
    "prompt",
    [
        "[embedding:a]",
        '"embedding:a"',
        "{embedding:a}",
        "cat.embedding:a",
        "embedding:\na",
        "embedding:a|b",
        "猫embedding:a",
    ],
)
def test_no_name_is_dropped_without_a_word(clip: Clip, folders: Folders, prompt: str, context: Any) -> None:
    with executing(context):
        tokenize_prompt(replace(clip, folders=folders), prompt)
    assert context.warnings == ["embedding 'a' is left out of the prompt: the embeddings folder is empty"]


def test_brackets_may_belong_to_a_name(clip: Clip, folders: Folders, place: Callable[[str], Path]) -> None:
    save_file({"emb_params": VECTORS[:1]}, place("style[v2].safetensors"))
    found = words(replace(clip, folders=folders), "{embedding:style[v2]}")
    assert found == ["{</w>", "embedding:style[v2][0]", "}</w>"]


def test_tokens_with_vectors_can_be_stored(clip: Clip, folders: Folders, place: Callable[[str], Path]) -> None:
    save_file({"emb_params": VECTORS}, place("Style.safetensors"))
    tokens = tokenize_prompt(replace(clip, folders=folders), "a (red:1.3) embedding:Style")
    stored = encode(tokens, [])
    assert stored is not None and stored.blobs == []
    assert decode(stored, []) == tokens


@pytest.mark.parametrize("name", ["nothing", "../../secret", "/etc/passwd", "a\0b"])
def test_what_is_not_there_is_left_out_with_a_warning(
    clip: Clip, folders: Folders, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    (folders.temp.parent / "secret.pt").write_bytes(b"secret")
    with caplog.at_level(logging.WARNING):
        found = words(replace(clip, folders=folders), f"a embedding:{name}, cat")
    assert found == ["a</w>", ",</w>", "cat</w>"]
    assert f"embedding '{name}' is left out" in caplog.text


def test_vectors_for_another_model_are_left_out_with_a_warning(
    clip: Clip, folders: Folders, place: Callable[[str], Path], caplog: pytest.LogCaptureFixture
) -> None:
    save_file({"emb_params": torch.zeros(2, 1024)}, place("sd2.safetensors"))
    assert words(replace(clip, folders=folders), "a embedding:sd2") == ["a</w>"]
    assert "1024 wide, this text encoder takes 64" in caplog.text


def test_damaged_files_are_errors(clip: Clip, folders: Folders, place: Callable[[str], Path]) -> None:
    clip = replace(clip, folders=folders)
    place("web.pt").write_text("<!DOCTYPE html>")
    with pytest.raises(CheckpointError, match=r"web\.pt"):
        tokenize_prompt(clip, "embedding:web")
    save_file({"emb_params": torch.zeros(2, 3, 64)}, place("cube.safetensors"))
    with pytest.raises(CheckpointError, match=r"\[2, 3, 64\]; expected the vectors"):
        tokenize_prompt(clip, "embedding:cube")
    save_file({}, place("empty.safetensors"))
    with pytest.raises(CheckpointError, match="expected the vectors"):
        tokenize_prompt(clip, "embedding:empty")
    save_file({"emb_params": torch.full((1, 64), torch.nan)}, place("nan.safetensors"))
    with pytest.raises(CheckpointError, match="NaN"):
        encode_tokens(clip, tokenize_prompt(clip, "embedding:nan"))


def test_a_file_that_vanished_between_the_nodes_is_an_error(
    clip: Clip, folders: Folders, place: Callable[[str], Path]
) -> None:
    clip = replace(clip, folders=folders)
    save_file({"emb_params": VECTORS}, place("gone.safetensors"))
    tokens = tokenize_prompt(clip, "embedding:gone")
    place("gone.safetensors").unlink()
    with pytest.raises(
        CheckpointError, match="'gone' cannot be used: the embeddings folder has no file with this name"
    ):
        encode_tokens(clip, tokens)


def test_the_fingerprint_is_that_of_the_files_named(folders: Folders, place: Callable[[str], Path]) -> None:
    save_file({"emb_params": VECTORS}, place("a.safetensors"))
    assert embedding_fingerprint("a cat", folders) == []
    before = embedding_fingerprint("(embedding:a:1.2), embedding:c", folders)
    assert [name for name, _ in before] == ["a", "c"] and before[1][1] is None
    assert embedding_fingerprint("embedding:a embedding:c", folders) == before
    save_file({"emb_params": VECTORS[:2]}, place("a.safetensors"))
    assert embedding_fingerprint("(embedding:a:1.2), embedding:c", folders) != before
