"""The node that encodes AUTOMATIC1111's prompts."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from graph.folders import Folders
from graph.node import Range, node
from nodes.text.embeddings import plain_embedding_fingerprint
from nodes.text.nodes import Text
from nodes.types import Clip, Conditioning


def _embedding_files(*, text: str, folders: Folders) -> list[Any]:
    return plain_embedding_fingerprint(text, folders)


@node(
    "CLIPTextEncodeA1111",
    display_name="CLIP Text Encode (A1111 Prompt)",
    category="conditioning",
    fingerprint=_embedding_files,
)
def clip_text_encode_a1111(
    *,
    clip: Clip,
    text: Text,
    steps: Annotated[int, Range(1, 10_000)] = 20,
    steps_before: Annotated[int, Range(0, 10_000)] = 0,
    clip_skip: Annotated[int, Range(1, 24)] = 1,
    emphasis: Literal["Original", "No norm", "Ignore", "None"] = "Original",
    compose: bool = True,
) -> Conditioning:
    """Encode a prompt in the syntax of AUTOMATIC1111's web UI, as the web UI does.

    ``(word)``, ``[word]``, ``(word:1.2)``, ``BREAK``, ``[from:to:0.5]``, ``[a|b]``, ``AND`` and embeddings by their
    plain names. The texts of a prompt that changes are used by step, so ``steps`` must be those of the sampler.
    Raises PromptError for prompts that are too long, nested too deep or not valid Unicode.
    """
    from nodes.text.a1111_encoding import encode_a1111

    return encode_a1111(
        clip,
        text,
        steps=steps,
        steps_before=steps_before,
        clip_skip=clip_skip,
        emphasis=emphasis,
        compose=compose,
    )
