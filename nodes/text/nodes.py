"""The nodes between a prompt and its conditioning."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any

from graph.folders import Folders
from graph.node import Hint, Range, node
from graph.results import NodeResult
from nodes.text.embeddings import embedding_fingerprint
from nodes.text.prompt import tokenize_prompt
from nodes.text.tokens import describe
from nodes.types import Clip, Conditioning, Tokens

Text = Annotated[str, Hint(multiline=True, dynamicPrompts=True)]


def _embedding_files(*, text: str, folders: Folders) -> list[Any]:
    return embedding_fingerprint(text, folders)


@node(
    "CLIPTokenize",
    display_name="CLIP Tokenize",
    category="conditioning",
    fingerprint=_embedding_files,
    environment=False,
)
def clip_tokenize(*, clip: Clip, text: Text) -> Tokens:
    """Splits a prompt into the numbered word pieces that CLIP reads, 75 to a chunk, each with its weight.

    ``(word)`` weighs 1.1, ``(word:1.4)`` weighs 1.4, ``embedding:name`` inserts a textual inversion.
    Raises PromptError for prompts that are too long, nested too deep or no valid Unicode.
    """
    tokens = tokenize_prompt(clip, text)
    return NodeResult(tokens, ui={"text": [describe(tokens)]})


@node("CLIPEncodeTokens", display_name="CLIP Encode Tokens", category="conditioning")
def clip_encode_tokens(*, clip: Clip, tokens: Tokens) -> Conditioning:
    """Turns tokens into the vectors that steer the diffusion model: [1, 77 per chunk, width]."""
    from nodes.text.encoding import encode_tokens

    embedding, pooled = encode_tokens(clip, tokens)
    return [[embedding, {"pooled_output": pooled}]]


@node(
    "CLIPTextEncode",
    display_name="CLIP Text Encode (Prompt)",
    category="conditioning",
    fingerprint=_embedding_files,
)
def clip_text_encode(*, text: Text, clip: Clip) -> Conditioning:
    """Turns a prompt into the vectors that steer the diffusion model: tokenizes it and encodes the tokens.

    Raises PromptError for prompts that are too long, nested too deep or no valid Unicode.
    """
    return clip_encode_tokens(tokens=tokenize_prompt(clip, text), clip=clip)


@node("CLIPSetLastLayer", display_name="CLIP Set Last Layer", category="conditioning", environment=False)
def clip_set_last_layer(*, clip: Clip, stop_at_clip_layer: Annotated[int, Range(-24, -1, 1)] = -1) -> Clip:
    """Takes the output of an earlier layer of the text encoder ("CLIP skip"): -1 is the last, -2 the one before."""
    return replace(clip, layer=stop_at_clip_layer)
