"""CLIP as it travels between nodes: a light, immutable handle, compared by value."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, TypeAlias

from graph.folders import Folders
from nodes.models.checkpoint import Checkpoint, CheckpointError
from nodes.models.handle import Handle
from nodes.models.text_config import TextConfig, detect_text, expected_shapes, is_optional
from nodes.models.weights import Weights, weights_at
from nodes.text.embeddings import usable_embedding
from nodes.text.prompt import tokenize_prompt
from nodes.text.tokenizer import PromptError
from nodes.text.tokens import Tokens

if TYPE_CHECKING:
    import torch

    from nodes.models.weight_patches import WeightPatch
    from nodes.text.clip import ClipText

TextWeights: TypeAlias = Weights[TextConfig]


@dataclass(frozen=True)
class Clip(Handle):
    """A tokenizer and a text encoder.

    ``layer`` is the one whose output is used: -1 the last, -2 the one before; None what the model was
    trained with. ``patches`` change the encoder's weights. ``folders`` is where ``embedding:name`` is
    looked up; None: nowhere.
    """

    weights: TextWeights
    layer: int | None = None
    patches: tuple[WeightPatch, ...] = ()
    folders: Folders | None = field(default=None, compare=False, repr=False)

    @property
    def config(self) -> TextConfig:
        """The encoder's width and depth."""
        return self.weights.config

    def network(self) -> ClipText:
        """The encoder with its weights, patched, on the device and in the precision that are set.

        Raises CheckpointError if its file changed, or holds NaN or infinity; WeightPatchError if a patch does not fit.
        """
        from nodes import device
        from nodes.text.clip import ClipText

        return self.weights.resident(ClipText, device.text_dtype(), device.device(), self.patches)

    def tokenize(self, text: str) -> Tokens:
        """``text`` as chunks of weighted tokens (:mod:`nodes.text.tokens`). Loads no weights.

        Raises PromptError for texts that are too long, nested too deep or no valid Unicode,
        CheckpointError for an embedding file that cannot be read.
        """
        return tokenize_prompt(text, self.config, self.folders)

    def encode(self, tokens: Tokens) -> tuple[torch.Tensor, torch.Tensor]:
        """The embedding [1, 77k, width] of k chunks and the pooled output [1, width]; float32, on the CPU.

        Raises CheckpointError if the model's file or an embedding's is not what it was.
        """
        from nodes.text.encoding import encode_chunks

        chunks = tokens.get("l")
        if not chunks:
            raise PromptError(f"the tokens are for the encoders {sorted(tokens)}; this model has one, 'l'")

        @cache
        def vectors(name: str) -> torch.Tensor:
            embedding = usable_embedding(name, self.folders, self.config.width)
            if embedding is None:
                raise CheckpointError(f"embedding '{name}' is gone, or made for another model; tokenize the text again")
            return embedding.vectors()

        layer = self.layer if self.layer is not None else self.config.default_layer
        return encode_chunks(self.network(), self.config, chunks, layer, vectors)


def clip_in(checkpoint: Checkpoint, prefix: str, folders: Folders | None = None) -> Clip:
    """The text encoder under ``prefix`` (:func:`nodes.models.text_config.text_prefix` finds it).

    Raises UnknownTextEncoderError if there is none that is understood, CheckpointError naming missing
    and misshapen tensors.
    """
    config = detect_text(checkpoint.shapes, prefix)
    return Clip(weights_at(checkpoint, prefix, config, expected_shapes(config), is_optional), folders=folders)
