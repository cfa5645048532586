"""From a prompt to its tokens: weights, embeddings, word groups, chunks."""

from __future__ import annotations

import logging
from collections.abc import Iterator

from graph.folders import Folders
from nodes.models.handle import Clip, TextEncoder
from nodes.text.embeddings import Named, split_embeddings, usable_embedding
from nodes.text.prompt_weights import parse
from nodes.text.tokenizer import check, tokenize
from nodes.text.tokens import Token, Tokens, chunked

log = logging.getLogger(__name__)


def tokenize_prompt(clip: Clip, prompt: str) -> Tokens:
    """The chunks that ``prompt`` becomes for each text encoder of ``clip``. Loads no weights.

    ``embedding:name`` is looked up in the embeddings folder; a file that is not there, or holds no vectors for the
    encoder, is left out with a warning. Raises PromptError for prompts that are too long, nested too deep or not valid
    Unicode, CheckpointError for an embedding file that cannot be read.
    """
    check(prompt)
    return {
        encoder.role.name: chunked(word_groups(prompt, encoder, clip.folders), encoder.role.padding)
        for encoder in clip.encoders
    }


def word_groups(prompt: str, encoder: TextEncoder, folders: Folders | None = None) -> Iterator[list[Token]]:
    """The tokens of each run of text between changes of weight and embeddings, and of each embedding."""
    for text, weight in parse(prompt):
        behind = ""
        for part in split_embeddings(text):
            if isinstance(part, Named):
                vectors, behind = _embedding(part, weight, encoder, folders)
                yield vectors
            else:
                yield [(piece.id, weight, piece.word) for piece in tokenize(behind + part)]


def _embedding(named: Named, weight: float, encoder: TextEncoder, folders: Folders | None) -> tuple[list[Token], str]:
    """The vectors of an embedding, and the punctuation behind its name."""
    behind = ""
    for name, behind in named.spellings():
        embedding = usable_embedding(name, folders, encoder.config.width, encoder.role.name)
        if embedding is not None:
            return [
                ({"embedding": name, "vector": number}, weight, f"embedding:{name}[{number}]")
                for number in range(embedding.count)
            ], behind
    log.warning(
        "embedding '%s' is left out of the prompt: the embeddings folder has none for this model's %s",
        name,
        encoder.role.kind,
    )
    return [], behind
