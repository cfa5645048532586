"""Compares pictures with texts by CLIP. Radford et al., arXiv:2103.00020."""

from __future__ import annotations

import dataclasses
import math
from typing import Final, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from nodes.explain.errors import ExplainError
from nodes.models.checkpoint import Checkpoint
from nodes.models.handle import Clip, TextEncoder
from nodes.text.encoding import encode_tokens
from nodes.text.tokenizer import tokenize
from nodes.text.tokens import Token, chunked
from nodes.vision.encoding import encode_pictures
from nodes.vision.handle import ClipVision

USUAL_LOGIT_SCALE: Final = math.log(100.0)
"""The logarithm of CLIP's factor, for files without ``logit_scale``: OpenAI's models ended training with it."""


class Similarities(NamedTuple):
    """``cosines`` [pictures, texts] of the vectors' angles, -1..1. Multiplied by ``scale`` they are logits."""

    cosines: Tensor
    scale: float

    def of_texts(self) -> Tensor:
        """Return, for each picture, the probability of each text: softmax over the texts, [pictures, texts]."""
        return (self.scale * self.cosines).softmax(1)

    def of_pictures(self) -> Tensor:
        """Return, for each text, the probability of each picture: softmax over the pictures, [pictures, texts]."""
        return (self.scale * self.cosines).softmax(0)


def similarities(clip: Clip, vision: ClipVision, pictures: Tensor, texts: list[str]) -> Similarities:
    """Compare pictures [B, H, W, C], 0..1, with texts.

    Raises ExplainError if no text encoder of ``clip`` belongs to the image encoder, PromptError for a text that cannot
    be tokenized, CheckpointError if a file changed.
    """
    encoder = matching_encoder(clip, vision)
    shown = F.normalize(encode_pictures(vision, pictures).image_embeds, dim=1)
    said = F.normalize(torch.cat([text_vector(encoder, text) for text in texts]), dim=1)
    return Similarities(shown @ said.T, math.exp(logit_scale_of(encoder, vision)))


def matching_encoder(clip: Clip, vision: ClipVision) -> TextEncoder:
    """Return the text encoder of ``clip`` that projects to the image encoder's width. Raises ExplainError."""
    width = vision.config.projection
    found = next((encoder for encoder in clip.encoders if encoder.config.projection == width), None)
    if found is None:
        projections = [encoder.config.projection for encoder in clip.encoders]
        have = " and ".join("no projection" if each is None else f"a projection to {each}" for each in projections)
        raise ExplainError(
            f"the CLIP has {have}, the image encoder projects to {width} numbers; load a CLIP text encoder with "
            f"text_projection.weight from the same CLIP (checkpoints of SD1 leave the projection out)"
        )
    if found.config.width == found.role.width and found.config.layers < found.role.layers:
        raise ExplainError(
            f"the text encoder has {found.config.layers} layers, {found.role.kind} has {found.role.layers}; "
            "load the whole text encoder, since CLIP compares the last layer's output"
        )
    return found


def text_vector(encoder: TextEncoder, text: str) -> Tensor:
    """Return the projected vector [1, projection] of the first 75 tokens of ``text``. Brackets are part of the text."""
    tokens: list[Token] = [(piece.id, 1.0, piece.word) for piece in tokenize(text)]
    alone = Clip((dataclasses.replace(encoder, role=dataclasses.replace(encoder.role, pools=True)),))
    return encode_tokens(alone, {encoder.role.name: chunked([tokens], encoder.role.padding)[:1]})[1]


def logit_scale_of(encoder: TextEncoder, vision: ClipVision) -> float:
    """Return ``logit_scale``, a logarithm, from the image encoder's or text encoder's file, else CLIP's usual one."""
    for weights in (vision.weights, encoder.weights):
        checkpoint, name = Checkpoint.open(weights.path), f"{weights.prefix}logit_scale"
        if name in checkpoint.shapes:
            return float(checkpoint.tensor(name).float())
    return USUAL_LOGIT_SCALE


def texts_in(lines: str) -> list[str]:
    """Return the texts of ``lines``, one a line. Raises ExplainError if there are none."""
    texts = [text for line in lines.splitlines() if (text := line.strip())]
    if not texts:
        raise ExplainError("captions is empty; write one caption per line")
    return texts
