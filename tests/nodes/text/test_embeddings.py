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
    with pytest.raises(CheckpointError, match="'gone' is gone"):
        encode_tokens(clip, tokens)


def test_the_fingerprint_is_that_of_the_files_named(folders: Folders, place: Callable[[str], Path]) -> None:
    save_file({"emb_params": VECTORS}, place("a.safetensors"))
    assert embedding_fingerprint("a cat", folders) == []
    before = embedding_fingerprint("(embedding:a:1.2), embedding:c", folders)
    assert [name for name, _ in before] == ["a", "c"] and before[1][1] is None
    assert embedding_fingerprint("embedding:a embedding:c", folders) == before
    save_file({"emb_params": VECTORS[:2]}, place("a.safetensors"))
    assert embedding_fingerprint("(embedding:a:1.2), embedding:c", folders) != before
