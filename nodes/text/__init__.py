"""Turns prompts into conditioning: tokens, their weights, and the text encoder."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nodes.models.networks import register_network
from nodes.models.text_config import TextConfig

if TYPE_CHECKING:
    from nodes.text.clip import ClipText


def text_encoder(config: TextConfig) -> ClipText:
    from nodes.text.clip import ClipText

    return ClipText(config)


register_network(TextConfig, text_encoder)
