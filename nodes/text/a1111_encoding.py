"""Encodes AUTOMATIC1111's prompts: emphasis that keeps the mean, texts that change by step, prompts joined by AND."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from graph.formats.a1111.prompt_schedule import PromptScheduleError, scheduled_texts, split_parts
from nodes.models.handle import Clip, TextEncoder
from nodes.text.a1111_prompt import Emphasis, chunks_of, runs_of, without_networks
from nodes.text.encoding import encode_unweighted
from nodes.text.tokenizer import PromptError, check
from nodes.text.tokens import MAX_CHUNKS, Chunk, closed
from nodes.types import Conditioning


def encode_a1111(
    clip: Clip,
    text: str,
    *,
    steps: int,
    steps_before: int = 0,
    clip_skip: int = 1,
    emphasis: Emphasis = "Original",
    compose: bool = True,
) -> Conditioning:
    """Return a CONDITIONING with an entry for each text that the prompt has over a run of ``steps`` steps.

    An entry's embedding is [1, 77k, width]; all entries of a prompt have the same number k of chunks. The option
    ``step_ranges`` says which steps of the run use it, ``composed`` which prompt of an AND it is, and its weight
    (Liu et al., "Compositional Visual Generation with Composable Diffusion Models", arXiv:2206.01714).
    ``steps_before`` are those of a first pass (hires fix). ``clip_skip`` n uses the output of the n-th layer from the
    end if the model uses the last one (SD1); 1 changes nothing. Without ``compose``, AND is an ordinary word.
    Raises PromptError.
    """
    check(text)
    text = without_networks(text)
    parts = [(part.text, part.weight) for part in split_parts(text)] if compose else [(text, 1.0)]
    plain = len(parts) == 1 and parts[0][1] == 1.0
    entries: Conditioning = []
    for number, (part, weight) in enumerate(parts):
        try:
            spans = scheduled_texts(part, steps, steps_before)
        except PromptScheduleError as error:
            raise PromptError(str(error)) from error
        embeddings, pooled = _encode_texts(clip, [span.text for span in spans], clip_skip, emphasis)
        for row, span in enumerate(spans):
            options: dict[str, Any] = {"pooled_output": pooled[row : row + 1]}
            if len(spans) > 1:
                options["step_ranges"] = list(span.steps)
            if not plain:
                options["composed"] = (number, weight)
            entries.append([embeddings[row : row + 1], options])
    return entries


def _encode_texts(clip: Clip, texts: Sequence[str], clip_skip: int, emphasis: Emphasis) -> tuple[Tensor, Tensor]:
    """Return embeddings [n, 77k, width] and pooled vectors [n, width] of n texts; the shorter ones get empty chunks."""
    joined: list[Tensor] = []
    pooled: Tensor | None = None
    for encoder in clip.encoders:
        chunks = [chunks_of(runs_of(text, emphasis), encoder, clip.folders) for text in texts]
        most = max(map(len, chunks))
        if most * len(texts) > MAX_CHUNKS:
            raise PromptError(
                f"the prompt's {len(texts)} texts have up to {most} chunks of 75 tokens; "
                f"expected at most {MAX_CHUNKS:,} chunks together"
            )
        empty = closed([], encoder.role.padding)
        padded = [text + [empty] * (most - len(text)) for text in chunks]
        hidden, pooled_here = _encode_chunks(clip, encoder, padded, clip_skip, emphasis)
        joined.append(hidden)
        pooled = pooled_here if encoder.role.pools else pooled
    assert pooled is not None, "every family has a text encoder that pools"
    shortest = min(hidden.shape[1] for hidden in joined)
    return torch.cat([hidden[:, :shortest] for hidden in joined], dim=-1), pooled


def _encode_chunks(
    clip: Clip, encoder: TextEncoder, chunks: list[list[Chunk]], clip_skip: int, emphasis: Emphasis
) -> tuple[Tensor, Tensor]:
    """Return ``hidden`` [n, 77k, width] and the first chunk's pooled vector [n, width] of n texts of k chunks each."""
    count = len(chunks[0])
    flat = [chunk for text in chunks for chunk in text]
    encoded = encode_unweighted(encoder, flat, clip, _layer(clip, encoder, clip_skip))
    hidden = encoded.hidden.unflatten(0, (len(chunks), count))
    if emphasis in ("Original", "No norm"):
        weights = torch.tensor([[[token[1] for token in chunk] for chunk in text] for text in chunks])
        hidden = weighted(hidden, weights, keep_mean=emphasis == "Original")
    return hidden.flatten(1, 2), encoded.pooled.unflatten(0, (len(chunks), count))[:, 0]


def weighted(hidden: Tensor, weights: Tensor, keep_mean: bool) -> Tensor:
    """Multiply the vectors [n, k, 77, width] by their weights [n, k, 77].

    With ``keep_mean`` the mean over all elements of the k-th chunks, of all n texts together, is then restored by a
    factor, as A1111 does for the texts of one schedule.
    """
    if bool((weights == 1.0).all()):
        return hidden
    found = hidden * weights.unsqueeze(-1)
    if not keep_mean:
        return found
    means, new_means = hidden.mean(dim=(0, 2, 3), keepdim=True), found.mean(dim=(0, 2, 3), keepdim=True)
    return torch.where(new_means == 0, found, found * (means / new_means))


def _layer(clip: Clip, encoder: TextEncoder, clip_skip: int) -> int | None:
    """Return the layer to use. As in A1111, CLIP skip changes only encoders whose last layer is used."""
    return -clip_skip if clip_skip > 1 and encoder.role.layer == -1 else clip.layer
