"""The weights of a model before training."""

from __future__ import annotations

import pytest
import torch

from nodes.models.text_config import TextConfig
from nodes.training.captions import token_ids
from nodes.training.text_start import random_text_encoder


@pytest.mark.parametrize("width", [64, 128, 192])
def test_padding_and_the_end_start_out_looking_at_the_content_words(width):
    torch.manual_seed(0)
    encoder = random_text_encoder(TextConfig(width=width, layers=2, mlp=4 * width))
    ids = token_ids("a photo of a red apple on a blue background")
    first = encoder.text_model.encoder.layers[0]
    with torch.no_grad():
        tokens = first.layer_norm1(encoder.text_model.embeddings(ids[None], {}))
        heads = first.self_attn.heads
        query, key = (
            projection(tokens).unflatten(-1, (heads, -1)).transpose(1, 2)
            for projection in (first.self_attn.q_proj, first.self_attn.k_proj)
        )
        seen = (query @ key.transpose(-1, -2) / query.shape[-1] ** 0.5)[0, :, -1].softmax(-1)
        gathered = first.self_attn(tokens)[0, -1]
    content = [5, 6, 9]  # red, apple, blue
    assert seen[:, content].sum(dim=1).min() > 0.6
    assert torch.nn.functional.cosine_similarity(gathered, tokens[0, content].mean(dim=0), dim=0) > 0.8


def test_captions_differ_at_padding_before_training():
    torch.manual_seed(0)
    encoder = random_text_encoder(TextConfig(width=128, layers=4, mlp=512))
    with torch.no_grad():
        hidden = encoder(
            torch.stack([token_ids("a red apple"), token_ids("a blue car"), token_ids("the red apple")])
        ).hidden
    different, similar = (hidden[0, -1] - hidden[1, -1]).norm(), (hidden[0, -1] - hidden[2, -1]).norm()
    assert different > 3 * similar
