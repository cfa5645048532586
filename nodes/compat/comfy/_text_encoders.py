"""A CLIP as packs use it: its tokenizers, its text encoders, and the changes of their weights.

The objects hold no weights. They represent the encoders of one of Sumi's handles, with the options that a pack has set.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import torch
from torch import Tensor

from nodes import device as devices
from nodes.compat import folder_paths
from nodes.compat.comfy._patched_weights import PatchedWeights
from nodes.models.handle import Clip, TextEncoder, TextWeights
from nodes.models.text_config import expected_shapes
from nodes.models.text_roles import PAD_WITH_END
from nodes.models.weight_patches import WeightPatch
from nodes.text.encoding import encode_tokens
from nodes.text.prompt import word_groups
from nodes.text.tokenizer import END, START, tokenize, vocabulary
from nodes.text.tokens import CHUNK, chunked

Pair = tuple[Any, ...]
"""``(id, weight)`` or ``(id, weight, word)``. A tensor [width] instead of an id is the token's vector."""


class EncoderWeights(PatchedWeights):
    """The weights of one text encoder of a CLIP, under the names that packs know: ``clip_l.transformer.…``."""

    def __init__(self, clip: CLIP, name: str):
        self._clip = clip
        self._name = name
        self._weight_prefix = f"clip_{name}.transformer."

    @property
    def _encoder(self) -> TextEncoder:
        return self._clip.handle.encoder(self._name)

    @property
    def _weights(self) -> TextWeights:
        return self._encoder.weights

    @property
    def _weight_patches(self) -> tuple[WeightPatch, ...]:
        return self._encoder.patches

    @_weight_patches.setter
    def _weight_patches(self, patches: tuple[WeightPatch, ...]) -> None:
        handle = self._clip.handle
        encoders = tuple(
            dataclasses.replace(encoder, patches=patches) if encoder.role.name == self._name else encoder
            for encoder in handle.encoders
        )
        self._clip.handle = dataclasses.replace(handle, encoders=encoders)

    def _tensor_names(self) -> Iterable[str]:
        return expected_shapes(self._encoder.config)


class SDClipModel:
    """One text encoder of a CLIP. ``transformer`` is its network, loaded when it is asked for."""

    enable_attention_masks = False
    max_length = CHUNK

    def __init__(self, clip: CLIP, name: str):
        self._clip = clip
        self._name = name
        self.layer_idx: int | None = None

    @property
    def _encoder(self) -> TextEncoder:
        return self._clip.handle.encoder(self._name)

    @property
    def transformer(self) -> torch.nn.Module:
        """Return the network, which other models share: do not write to its weights."""
        return self._encoder.network()

    @property
    def num_layers(self) -> int:
        """Return the number of layers."""
        return self._encoder.config.layers

    @property
    def layer(self) -> str:
        """``last`` or ``hidden``: whether the output of the last layer is used."""
        return "last" if self._chosen() in (None, -1) else "hidden"

    @property
    def special_tokens(self) -> dict[str, int]:
        """Return the ids of the start token, the end token and the padding."""
        return {"start": START, "end": END, "pad": self._encoder.role.padding}

    def clip_layer(self, layer_idx: int) -> None:
        """Use the output of that layer: -1 is the last."""
        self.layer_idx = layer_idx if abs(layer_idx) <= self.num_layers else -1

    def reset_clip_layer(self) -> None:
        """Use the output of the usual layer."""
        self.layer_idx = None

    def set_clip_options(self, options: Mapping[str, Any]) -> None:
        """Set ``layer``, the layer whose output is used. Other options have no effect."""
        if options.get("layer") is not None:
            self.clip_layer(options["layer"])

    def reset_clip_options(self) -> None:
        """Forget the options that were set."""
        self.reset_clip_layer()

    def encode_token_weights(self, token_weight_pairs: Sequence[Sequence[Pair]]) -> tuple[Tensor, Tensor]:
        """Return the embedding [1, 77k, width] of k chunks and the pooled vector [1, width]."""
        encoder = self._encoder
        alone = dataclasses.replace(encoder, role=dataclasses.replace(encoder.role, pools=True))
        handle = dataclasses.replace(self._clip.handle, encoders=(alone,), layer=self._chosen())
        return encode_tokens(handle, {self._name: _full(token_weight_pairs)})

    def encode(self, tokens: Sequence[Sequence[Any]]) -> tuple[Tensor, Tensor]:
        """:meth:`encode_token_weights` of chunks of ids."""
        return self.encode_token_weights([[(token, 1.0) for token in chunk] for chunk in tokens])

    def _chosen(self) -> int | None:
        return self._clip.handle.layer if self.layer_idx is None else self.layer_idx


class SDXLClipG(SDClipModel):
    """OpenCLIP ViT-bigG."""


class SD2ClipHModel(SDClipModel):
    """OpenCLIP ViT-H."""


_ENCODERS: Final[Mapping[str, type[SDClipModel]]] = {"g": SDXLClipG, "h": SD2ClipHModel}


class SD1ClipModel:
    """The text encoders of a CLIP: ``clip_l``, ``clip_g`` or ``clip_h``, as the model has them."""

    def __init__(self, clip: CLIP):
        self._clip = clip
        self._names = [encoder.role.name for encoder in clip.handle.encoders]
        for name in self._names:
            setattr(self, f"clip_{name}", _ENCODERS.get(name, SDClipModel)(clip, name))

    @property
    def clip_handle(self) -> Clip:
        """Sumi's handle of the encoders."""
        return self._clip.handle

    @property
    def clip_name(self) -> str:
        """Return the key of the first encoder."""
        return self._names[0]

    @property
    def clip(self) -> str:
        """Return the attribute of the first encoder."""
        return f"clip_{self._names[0]}"

    def _encoders(self) -> list[SDClipModel]:
        return [getattr(self, f"clip_{name}") for name in self._names]

    def __getattr__(self, name: str) -> Any:
        if name in ("transformer", "special_tokens", "num_layers", "layer", "max_length"):  # of the only encoder
            return getattr(self._encoders()[0], name)
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}", name=name, obj=self)

    def clip_layer(self, layer_idx: int) -> None:
        """Use the output of that layer in every encoder: -1 is the last."""
        for encoder in self._encoders():
            encoder.clip_layer(layer_idx)

    def reset_clip_layer(self) -> None:
        """Use the output of the usual layers."""
        for encoder in self._encoders():
            encoder.reset_clip_layer()

    def set_clip_options(self, options: Mapping[str, Any]) -> None:
        """Set the options of every encoder."""
        for encoder in self._encoders():
            encoder.set_clip_options(options)

    def reset_clip_options(self) -> None:
        """Forget the options that were set."""
        self.reset_clip_layer()

    def encode_token_weights(self, token_weight_pairs: Mapping[str, Sequence[Sequence[Pair]]]) -> tuple[Tensor, Tensor]:
        """Return the joined embedding [1, 77k, width] and the pooled vector [1, width] of tokens for each encoder."""
        chosen = [encoder.layer_idx for encoder in self._encoders() if encoder.layer_idx is not None]
        handle = dataclasses.replace(self._clip.handle, layer=chosen[0]) if chosen else self._clip.handle
        return encode_tokens(handle, {name: _full(chunks) for name, chunks in token_weight_pairs.items()})

    def state_dict(self) -> dict[str, Tensor]:
        """Return the file's tensors, without changes."""
        return self._clip.model_state_dict()


class SD2ClipModel(SD1ClipModel):
    """The text encoder of SD2."""


class SDXLClipModel(SD1ClipModel):
    """The text encoders of SDXL."""


class SDXLRefinerClipModel(SD1ClipModel):
    """The text encoder of SDXL's refiner."""


_MODELS: Final[Mapping[tuple[str, ...], type[SD1ClipModel]]] = {
    ("h",): SD2ClipModel,
    ("g",): SDXLRefinerClipModel,
    ("l", "g"): SDXLClipModel,
}


class SDTokenizer:
    """The tokenizer of one text encoder."""

    embedding_identifier: Final = "embedding:"
    max_length = CHUNK
    start_token, end_token = START, END
    tokens_start = 1

    def __init__(self, clip: CLIP, name: str):
        self._clip = clip
        self._name = name

    @property
    def pad_with_end(self) -> bool:
        """Return whether chunks are filled up with end tokens."""
        return self._clip.handle.encoder(self._name).role.padding == PAD_WITH_END

    @property
    def inv_vocab(self) -> dict[int, str]:
        """Id → word."""
        return {number: word for word, number in vocabulary().items()}

    @property
    def embedding_directory(self) -> list[str]:
        """Return the folders with embeddings."""
        return folder_paths.get_folder_paths("embeddings")

    @property
    def tokenizer(self) -> SDTokenizer:
        """Return the object that returns ids from ``tokenizer(text)["input_ids"]``: this object itself."""
        return self

    def __call__(self, text: str, **_: Any) -> dict[str, list[int]]:
        """``{"input_ids"}`` of a text, with the start and the end token; weights are not read."""
        return {"input_ids": [START, *(piece.id for piece in tokenize(text)), END]}

    def get_vocab(self) -> dict[str, int]:
        """Word → id."""
        return dict(vocabulary())

    def tokenize_with_weights(self, text: str, return_word_ids: bool = False, **_: Any) -> list[list[Pair]]:
        """``text`` as chunks of weighted tokens."""
        return self._clip.tokenize(text, return_word_ids)[self._name]

    def untokenize(self, token_weight_pair: Sequence[Pair]) -> list[tuple[Pair, str]]:
        """Each pair with its word."""
        words = self.inv_vocab
        return [(pair, words.get(pair[0], "") if isinstance(pair[0], int) else "") for pair in token_weight_pair]


class SD1Tokenizer:
    """The tokenizers of a CLIP: ``clip_l``, ``clip_g`` or ``clip_h``, as the model has them."""

    def __init__(self, clip: CLIP):
        self._clip = clip
        self._names = [encoder.role.name for encoder in clip.handle.encoders]
        for name in self._names:
            setattr(self, f"clip_{name}", SDTokenizer(clip, name))

    @property
    def clip_name(self) -> str:
        """Return the key of the first encoder."""
        return self._names[0]

    @property
    def clip(self) -> str:
        """Return the attribute of the first tokenizer."""
        return f"clip_{self._names[0]}"

    def tokenize_with_weights(self, text: str, return_word_ids: bool = False, **_: Any) -> dict[str, list[list[Pair]]]:
        """``text`` as chunks of weighted tokens for each encoder."""
        return self._clip.tokenize(text, return_word_ids)

    def untokenize(self, token_weight_pair: Sequence[Pair]) -> list[tuple[Pair, str]]:
        """Each pair with its word."""
        first: SDTokenizer = getattr(self, self.clip)
        return first.untokenize(token_weight_pair)

    def state_dict(self) -> dict[str, Any]:
        """Return nothing: all models have the same vocabulary."""
        return {}


class SDXLTokenizer(SD1Tokenizer):
    """The tokenizers of SDXL."""


class CLIP:
    """A tokenizer and text encoders. Tokens are ``{"l": [[(id, weight), …], …]}``, an entry for each encoder."""

    use_clip_schedule = False

    def __init__(self, handle: Clip):
        self.handle = handle
        self._model: SD1ClipModel | None = None
        self._tokenizer: SD1Tokenizer | None = None
        self.load_device = devices.device()
        self.offload_device = torch.device("cpu")
        self.model_options: dict[str, Any] = {"transformer_options": {}}

    @property
    def layer_idx(self) -> int | None:
        """Return the layer whose output is used, or None for the usual one."""
        return self.handle.layer

    def clone(self) -> CLIP:
        """Return a copy to change; the weights are shared."""
        return CLIP(self.handle)

    @property
    def patcher(self) -> CLIP:
        """Return the object with ``add_patches`` and the like: the CLIP itself."""
        return self

    @property
    def cond_stage_model(self) -> SD1ClipModel:
        """Return the text encoders."""
        if self._model is None:
            names = tuple(encoder.role.name for encoder in self.handle.encoders)
            self._model = _MODELS.get(names, SD1ClipModel)(self)
        return self._model

    @property
    def model(self) -> SD1ClipModel:
        """Return the text encoders."""
        return self.cond_stage_model

    @property
    def tokenizer(self) -> SD1Tokenizer:
        """Return the tokenizers. A pack may put its own object there."""
        if self._tokenizer is None:
            self._tokenizer = (SDXLTokenizer if len(self.handle.encoders) > 1 else SD1Tokenizer)(self)
        return self._tokenizer

    @tokenizer.setter
    def tokenizer(self, tokenizer: SD1Tokenizer) -> None:
        self._tokenizer = tokenizer

    # -- weights -------------------------------------------------------------------------------------------------

    def _parts(self) -> list[EncoderWeights]:
        return [EncoderWeights(self, encoder.role.name) for encoder in self.handle.encoders]

    def add_patches(
        self, patches: Mapping[Any, Any], strength_patch: float = 1.0, strength_model: float = 1.0
    ) -> list[Any]:
        """Change weights of any of the encoders; see :meth:`PatchedWeights.add_patches`."""
        return [key for part in self._parts() for key in part.add_patches(patches, strength_patch, strength_model)]

    @property
    def patches(self) -> dict[str, list[Any]]:
        """Return the changes of weights, by tensor."""
        return {name: found for part in self._parts() for name, found in part.patches.items()}

    def get_key_patches(self, filter_prefix: str | None = None) -> dict[str, list[Any]]:
        """Each tensor with its changes: what :meth:`add_patches` of another CLIP takes, to merge the two."""
        return {name: found for part in self._parts() for name, found in part.get_key_patches(filter_prefix).items()}

    def model_state_dict(self, filter_prefix: str | None = None) -> dict[str, Tensor]:
        """Return the file's tensors, without changes. They are read-only."""
        return {name: found for part in self._parts() for name, found in part.model_state_dict(filter_prefix).items()}

    def get_sd(self) -> dict[str, Tensor]:
        """Return the tensors with their changes."""
        return {
            f"clip_{encoder.role.name}.transformer.{name}": tensor
            for encoder in self.handle.encoders
            for name, tensor in encoder.network().state_dict().items()
        }

    def patch_model(self, device_to: torch.device | None = None, **_: Any) -> SD1ClipModel:
        """Return the text encoders; their networks come to the device, with their patches, when they are used."""
        return self.cond_stage_model

    def unpatch_model(self, device_to: torch.device | None = None, **_: Any) -> None:
        """Do nothing: the file's networks were not changed."""

    def load_model(self, tokens: Any = None) -> CLIP:
        """Return the CLIP; its networks are loaded when they are used."""
        return self

    def current_loaded_device(self) -> torch.device:
        """Return the device that computes."""
        return self.load_device

    def is_clone(self, other: Any) -> bool:
        """Return whether both have the same weights."""
        return isinstance(other, CLIP) and _weights_of(other.handle) == _weights_of(self.handle)

    def model_size(self) -> int:
        """Return the size of the weights in bytes."""
        size = devices.text_dtype().itemsize
        return sum(encoder.weights.parameters * size for encoder in self.handle.encoders)

    # -- texts ---------------------------------------------------------------------------------------------------

    def clip_layer(self, layer_idx: int) -> None:
        """Use the output of that layer: -1 is the last."""
        self.handle = dataclasses.replace(self.handle, layer=layer_idx)

    def tokenize(self, text: str, return_word_ids: bool = False, **_: Any) -> dict[str, list[list[Pair]]]:
        """``text`` as chunks of weighted tokens. With ``return_word_ids`` each token has a third item: the number of
        the run of text that it belongs to, from 1; 0 for the start token, the end token and padding."""
        if isinstance(self._tokenizer, SD1Tokenizer) or self._tokenizer is None:
            groups = word_groups(self.handle, text)
        else:  # a pack's own
            return self._tokenizer.tokenize_with_weights(text, return_word_ids)
        tokens: dict[str, list[list[Pair]]] = {}
        for encoder in self.handle.encoders:
            name = encoder.role.name
            chunks = chunked(groups[name], encoder.role.padding)
            if return_word_ids:
                tokens[name] = _numbered(chunks, groups[name])
            else:
                tokens[name] = [[token[:2] for token in chunk] for chunk in chunks]
        return tokens

    def encode_from_tokens(
        self, tokens: Mapping[str, Any], return_pooled: Any = False, return_dict: bool = False
    ) -> Any:
        """Return the embedding [1, 77k, width]; with ``return_pooled`` the pooled output [1, width] too."""
        embedding, pooled = self.cond_stage_model.encode_token_weights(tokens)
        if return_dict:
            return {"cond": embedding, "pooled_output": pooled}
        if return_pooled == "unprojected":
            return embedding, pooled
        return (embedding, pooled) if return_pooled else embedding

    def encode_from_tokens_scheduled(
        self, tokens: Mapping[str, Any], unprojected: bool = False, add_dict: Mapping[str, Any] | None = None, **_: Any
    ) -> list[list[Any]]:
        """A CONDITIONING."""
        embedding, pooled = self.encode_from_tokens(tokens, return_pooled=True)
        return [[embedding, {"pooled_output": pooled, **(add_dict or {})}]]

    def encode(self, text: str) -> Tensor:
        """Return the embedding [1, 77k, width] of a text."""
        embedding: Tensor = self.encode_from_tokens(self.tokenize(text))
        return embedding


def _full(chunks: Sequence[Sequence[Pair]]) -> Any:
    return [[(token[0], float(token[1]), "") for token in chunk] for chunk in chunks]


def _numbered(chunks: Sequence[Sequence[Pair]], groups: Sequence[Sequence[Pair]]) -> list[list[Pair]]:
    """Return the tokens of each chunk with the numbers of their groups."""
    runs = (number for number, group in enumerate(groups, start=1) for _ in group)
    numbered: list[list[Pair]] = []
    for chunk in chunks:
        ended = False
        made: list[Pair] = []
        for place, (token, weight, *_) in enumerate(chunk):
            ended = ended or (place > 0 and isinstance(token, int) and token == END)
            made.append((token, weight, 0 if place == 0 or ended else next(runs, 0)))
        numbered.append(made)
    return numbered


def _weights_of(handle: Clip) -> list[TextWeights]:
    return [encoder.weights for encoder in handle.encoders]
