"""The nodes that turn prompts into conditioning."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any

from graph.folders import Folders
from graph.node import Hint, Range, node
from graph.results import NodeResult
from nodes.text.embeddings import embedding_fingerprint
from nodes.text.prompt import tokenize_for_each, tokenize_prompt
from nodes.text.tokens import describe
from nodes.types import Clip, Conditioning, Tokens

Text = Annotated[str, Hint(multiline=True, dynamicPrompts=True)]


PictureSide = Annotated[int, Range(0, 16384)]


def _embedding_files(*, text: str, folders: Folders) -> list[Any]:
    return embedding_fingerprint(text, folders)


def _embeddings_of_both(*, text_g: str, text_l: str, folders: Folders) -> list[Any]:
    return [embedding_fingerprint(text_g, folders), embedding_fingerprint(text_l, folders)]


@node(
    "CLIPTokenize",
    display_name="CLIP Tokenize",
    category="conditioning",
    fingerprint=_embedding_files,
    environment=False,
)
def clip_tokenize(*, clip: Clip, text: Text) -> Tokens:
    """Split a prompt into CLIP's tokens, 75 per chunk, each with a weight.

    ``(word)`` has weight 1.1, ``(word:1.4)`` has weight 1.4, ``embedding:name`` inserts a textual inversion.
    Raises PromptError for prompts that are too long, nested too deep or not valid Unicode.
    """
    tokens = tokenize_prompt(clip, text)
    return NodeResult(tokens, ui={"text": [describe(tokens)]})


@node("CLIPEncodeTokens", display_name="CLIP Encode Tokens", category="conditioning")
def clip_encode_tokens(*, clip: Clip, tokens: Tokens) -> Conditioning:
    """Encode tokens as the vectors that steer the diffusion model: [1, 77 per chunk, width]."""
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
    """Tokenize a prompt and encode it as the vectors that steer the diffusion model.

    Raises PromptError for prompts that are too long, nested too deep or not valid Unicode.
    """
    return clip_encode_tokens(tokens=tokenize_prompt(clip, text), clip=clip)


@node("CLIPTextEncodeSDXL", display_name=None, category="advanced/conditioning", fingerprint=_embeddings_of_both)
def clip_text_encode_sdxl(
    *,
    clip: Clip,
    width: PictureSide = 1024,
    height: PictureSide = 1024,
    crop_w: PictureSide = 0,
    crop_h: PictureSide = 0,
    target_width: PictureSide = 1024,
    target_height: PictureSide = 1024,
    text_g: Text,
    text_l: Text,
) -> Conditioning:
    """Encode a prompt for each of SDXL's text encoders, with the sizes that the model was trained with.

    ``width`` and ``height`` are the original picture's size, ``crop_w`` and ``crop_h`` the corner of its crop, in
    pixels (arXiv:2307.01952, section 2.2).
    Raises PromptError as CLIP Text Encode does, and for a CLIP that is not SDXL's.
    """
    conditioning: Conditioning = clip_encode_tokens(
        clip=clip, tokens=tokenize_for_each(clip, {"g": text_g, "l": text_l})
    )
    return _with_options(
        conditioning,
        width=width,
        height=height,
        crop_w=crop_w,
        crop_h=crop_h,
        target_width=target_width,
        target_height=target_height,
    )


@node(
    "CLIPTextEncodeSDXLRefiner",
    display_name=None,
    category="advanced/conditioning",
    fingerprint=_embedding_files,
)
def clip_text_encode_sdxl_refiner(
    *,
    ascore: Annotated[float, Range(0.0, 1000.0, 0.01)] = 6.0,
    width: PictureSide = 1024,
    height: PictureSide = 1024,
    text: Text,
    clip: Clip,
) -> Conditioning:
    """Encode a prompt for SDXL's refiner, with an aesthetic score and the original picture's size in pixels.

    Raises PromptError as CLIP Text Encode does.
    """
    conditioning: Conditioning = clip_text_encode(text=text, clip=clip)
    return _with_options(conditioning, aesthetic_score=ascore, width=width, height=height)


def _with_options(conditioning: Conditioning, **options: Any) -> Conditioning:
    return [[embedding, {**old, **options}] for embedding, old in conditioning]


@node("CLIPSetLastLayer", display_name="CLIP Set Last Layer", category="conditioning", environment=False)
def clip_set_last_layer(*, clip: Clip, stop_at_clip_layer: Annotated[int, Range(-24, -1, 1)] = -1) -> Clip:
    """Use the output of an earlier layer of the text encoder ("CLIP skip"): -1 is the last, -2 the one before."""
    return replace(clip, layer=stop_at_clip_layer)
