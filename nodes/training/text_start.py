"""Makes a text encoder with random weights whose first layer gathers a caption's content words."""

from __future__ import annotations

from typing import Final

import torch

from nodes.clip_layer import Attention
from nodes.models.text_config import TextConfig
from nodes.text.clip import ClipText
from nodes.text.tokenizer import END, START, tokenize

FLAG: Final = 0
"""The dimension of the embedding that marks tokens with little information about the picture: 0 for content words."""
FLAG_OF_FRAME: Final = 3.0
"""The flag of the start and end tokens; padding is made of end tokens."""
FLAG_OF_FILLER: Final = 0.8
FILLERS: Final = (
    "a an the on of with in and to next left right background picture photo drawing image icon emoji style , . "
    "一 两 个 只 张 的 色 背 景 上 和"
)
"""Words that captions of any content share. Only words of a single token are flagged."""
SPREAD: Final = 0.5
"""The standard deviation of the embeddings; the layer norm before the first layer keeps flags of this size apart."""
BIAS: Final = 12.0
"""With heads of 64 numbers, a normed flag f lowers a token's score by 1.5 f."""


def random_text_encoder(config: TextConfig) -> ClipText:
    """Make an encoder with CLIP's initial weights and a first layer that gives every position the mean of the content
    words before it.

    Most of a caption's 77 tokens are padding without content. With CLIP's initial weights (arXiv:2103.00020), attention
    to all tokens starts equal, so the noise predictor hardly sees the few important words, and a small model trained
    with the denoising loss never learns to attend to them. Here the embedding has a flag, which the keys of the first
    layer read.
    """
    encoder = ClipText(config)
    width, depth = config.width, config.layers
    out = (width * 2 * depth) ** -0.5
    spreads = {
        "token_embedding.weight": SPREAD,
        "position_embedding.weight": 0.01,
        "q_proj.weight": width**-0.5,
        "k_proj.weight": width**-0.5,
        "v_proj.weight": width**-0.5,
        "out_proj.weight": out,
        "fc1.weight": (2 * width) ** -0.5,
        "fc2.weight": out,
    }
    with torch.no_grad():
        for name, parameter in encoder.named_parameters():
            spread = next((value for ending, value in spreads.items() if name.endswith(ending)), None)
            if spread is not None:
                parameter.normal_(std=spread)
            elif name.endswith(("proj.bias", "fc1.bias", "fc2.bias")):
                parameter.zero_()
        _flag_tokens(encoder.text_model.embeddings.token_embedding.weight)
        first = encoder.text_model.encoder.layers[0].self_attn
        assert isinstance(first, Attention)
        _gather_content(first)
    return encoder


def _flag_tokens(embedding: torch.Tensor) -> None:
    embedding[:, FLAG] = 0.0
    embedding[[START, END], FLAG] = FLAG_OF_FRAME
    for word in FILLERS.split():
        pieces = tokenize(word)
        if len(pieces) == 1:
            embedding[pieces[0].id, FLAG] = FLAG_OF_FILLER


def _gather_content(attention: Attention) -> None:
    """Make every query prefer tokens with a low flag, and pass their values on unchanged."""
    first_of_each_head = slice(None, None, attention.q_proj.out_features // attention.heads)
    for projection in (attention.q_proj, attention.k_proj):
        projection.weight.mul_(0.1)
        projection.weight[first_of_each_head] = 0.0
    attention.q_proj.bias[first_of_each_head] = BIAS
    attention.k_proj.weight[first_of_each_head, FLAG] = -1.0
    for projection in (attention.v_proj, attention.out_proj):
        projection.weight.copy_(torch.eye(projection.out_features))
