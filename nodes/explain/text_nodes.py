"""The nodes that show what becomes of a prompt: tokens, vectors, and their similarity."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from graph.context import Context
from graph.folders import Folders
from graph.node import ExtraPngInfo, Hint, Prompt, Range, node
from nodes.explain.results import CATEGORY, Explained, shown
from nodes.text.embeddings import embedding_fingerprint
from nodes.types import Clip

Text = Annotated[str, Hint(multiline=True, dynamicPrompts=True)]


def _embedding_files(*, text: str, folders: Folders) -> list[Any]:
    return embedding_fingerprint(text, folders)


def _embeddings_of_both(*, text_1: str, text_2: str, folders: Folders) -> list[Any]:
    return [embedding_fingerprint(text_1, folders), embedding_fingerprint(text_2, folders)]


@node(
    "ExplainTokens",
    display_name="Tokens",
    category=CATEGORY,
    output_node=True,
    fingerprint=_embedding_files,
    environment=False,
)
def explain_tokens(
    *, clip: Clip, text: Text = "", prompt: Prompt = None, extra_pnginfo: ExtraPngInfo = None, context: Context
) -> Explained:
    """Show the tokens of a prompt for each text encoder: pieces, ids, weights, chunks, and where the prompt is split.

    CLIP's byte-pair encoding is described in arXiv:2103.00020 and arXiv:1508.07909. A piece that another one continues
    ends in a hyphen; parts of characters are shown as bytes. Textual inversions (``embedding:name``) are shown with
    their vectors; the ones without a file are left out.
    Raises PromptError and CheckpointError as CLIP Text Encode does.
    """
    from nodes.explain.text_cards import tokens_card
    from nodes.explain.tokens import read_prompt

    picture, table = tokens_card(read_prompt(clip, text))
    return shown(context, picture, table, prompt=prompt, extra_pnginfo=extra_pnginfo)


@node(
    "ExplainNearestTokens",
    display_name="Nearest Tokens",
    category=CATEGORY,
    output_node=True,
    fingerprint=_embedding_files,
)
def explain_nearest_tokens(
    *,
    clip: Clip,
    text: str = "apple",
    neighbours: Annotated[int, Range(1, 50)] = 8,
    prompt: Prompt = None,
    extra_pnginfo: ExtraPngInfo = None,
    context: Context,
) -> Explained:
    """Show the vocabulary's entries whose vectors are nearest to those of a word's tokens, or of a textual inversion.

    Nearness is the cosine of the angle between rows of the text encoder's token table (arXiv:2103.00020), which the
    encoder reads before its first layer. The first 12 different tokens of ``text`` are compared.
    Raises ExplainError for a text without tokens, and PromptError and CheckpointError as CLIP Text Encode does.
    """
    from nodes.explain import embeddings
    from nodes.explain.text_cards import neighbours_card

    picture, table = neighbours_card(embeddings.neighbours(clip, text, neighbours))
    return shown(context, picture, table, prompt=prompt, extra_pnginfo=extra_pnginfo)


@node(
    "ExplainPromptSimilarity",
    display_name="Prompt Similarity",
    category=CATEGORY,
    output_node=True,
    fingerprint=_embeddings_of_both,
)
def explain_prompt_similarity(
    *,
    clip: Clip,
    text_1: Text = "a red apple",
    text_2: Text = "a green pear",
    compare: Literal["encoded", "token table"] = "encoded",
    prompt: Prompt = None,
    extra_pnginfo: ExtraPngInfo = None,
    context: Context,
) -> Explained:
    """Show the cosine between each token of one prompt and each token of another, for each text encoder.

    ``encoded`` compares the vectors that condition the diffusion model: the text transformer (arXiv:2103.00020) has
    mixed each one with the words before it, and weights are applied. ``token table`` compares the vectors that go into
    the transformer. For encoded prompts, the card also gives the cosine of their pooled vectors.
    Raises ExplainError for a prompt without tokens, and PromptError and CheckpointError as CLIP Text Encode does.
    """
    from nodes.explain.embeddings import similarities
    from nodes.explain.text_cards import similarity_card

    is_encoded = compare == "encoded"
    picture, tables = similarity_card(similarities(clip, text_1, text_2, is_encoded), is_encoded)
    return shown(context, picture, *tables, prompt=prompt, extra_pnginfo=extra_pnginfo)
