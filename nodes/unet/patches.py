"""Functions that run before, after or in place of the U-Net's parts during one call, with ComfyUI's conventions.

They are in ``transformer_options``: ``["patches"][place]`` is a list of functions, called one after the other;
``["patches_replace"]["attn1" or "attn2"]`` has functions by block, ``(name, number)`` or
``(name, number, transformer layer)``, name being ``input``, ``middle`` or ``output``.

=================================  =========================================================================
``emb_patch``                      ``f(embedding, model_channels, options) -> embedding``, before SiLU
``input_block_patch``              ``f(h, options) -> h``, after each input block
``input_block_patch_after_skip``   the same, once the skip connection has been branched off
``middle_block_patch``             ``f(h, options) -> h``, after the middle block
``output_block_patch``             ``f(h, skip, options) -> (h, skip)``, before they are joined
``attn1_patch``, ``attn2_patch``   ``f(query, key, value, options)`` of tokens [B, T, C] not yet projected
``attn1``, ``attn2`` (replace)     ``f(q, k, v, options) -> tokens``, projected, heads not yet split
``attn1_output_patch``, …          ``f(tokens, options) -> tokens``, after attention
``attn2_observer``                 ``f(query, key, options)``, projected, [B, heads, T, width of a head]; only looks on
``middle_patch``                   ``f(tokens, options) -> tokens``, between self- and cross-attention
=================================  =========================================================================

``options`` are the other transformer options: those from sampling (``cond_or_uncond``, ``sigmas``,
``sample_sigmas``), ``original_shape`` of the latent [B, C, h, w], ``block`` (name, number), ``transformer_index``
(number of the transformer), ``block_index`` (number of the layer in it), ``activations_shape`` [B, C, h, w] of its
input, ``n_heads`` and ``dim_head``.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

from torch import Tensor, nn

from nodes.unet.deep_features import OPTION as DEEP_FEATURES
from nodes.unet.heads import KV, attend

if TYPE_CHECKING:
    from collections.abc import Sequence

Patch = Callable[..., Any]
Module = TypeVar("Module", bound=nn.Module)

PLACES: Final = frozenset(
    {
        "emb_patch",
        "input_block_patch",
        "input_block_patch_after_skip",
        "middle_block_patch",
        "output_block_patch",
        "attn1_patch",
        "attn1_output_patch",
        "middle_patch",
        "attn2_patch",
        "attn2_output_patch",
        "attn2_observer",
    }
)
"""The places where patches run."""
REPLACEABLE: Final = frozenset({"attn1", "attn2"})
"""The parts that patches may replace."""


class TransformerLayer(Protocol):
    """A layer of a transformer: see ``nodes.unet.attention.BasicTransformerBlock``."""

    attn1: Any
    attn2: Any
    ff: Any
    norm1: Any
    norm2: Any
    norm3: Any
    text_only: bool

    def project(self, context: Tensor, mask: Tensor | None = None) -> KV:
        """Project a text [B, T, width] to keys and values."""


class UNetPatches:
    """The patches of one U-Net call, and its current place in the network.

    ``shape`` is the shape of the latents, ``context`` the text [B, T, width] before projection.
    """

    def __init__(self, transformer_options: Mapping[str, Any], shape: Sequence[int], context: Tensor):
        self.options: dict[str, Any] = {
            **transformer_options,
            "original_shape": list(shape),
            "transformer_index": 0,
        }
        self._around: Mapping[str, Sequence[Patch]] = transformer_options.get("patches", {})
        self._instead: Mapping[str, Mapping[Any, Patch]] = transformer_options.get("patches_replace", {})
        self._context = context

    def at(self, block: str, number: int) -> UNetPatches:
        """Set the block that runs next."""
        self.options["block"] = (block, number)
        return self

    def embedding(self, embedding: Tensor, model_channels: int) -> Tensor:
        for patch in self._around.get("emb_patch", ()):
            embedding = patch(embedding, model_channels, self.options)
        return embedding

    def changed(self, place: str, h: Tensor) -> Tensor:
        """Apply the patches of ``place`` to ``h``."""
        for patch in self._around.get(place, ()):
            h = patch(h, self.options)
        return h

    def joined(self, h: Tensor, skip: Tensor) -> tuple[Tensor, Tensor]:
        """Apply an output block's patches to its two inputs."""
        for patch in self._around.get("output_block_patch", ()):
            h, skip = patch(h, skip, self.options)
        return h, skip

    def transformer(
        self, layers: Sequence[Any], tokens: Tensor, contexts: Sequence[KV | None], shape: Sequence[int]
    ) -> Tensor:
        """Run the layers of one transformer, whose input is a feature map of ``shape``.

        ``contexts`` are the text's projections for them, or None for a module that replaces a layer; it is called as
        ``f(tokens, context=…, transformer_options=…)``.
        """
        self.options["activations_shape"] = list(shape)
        for index, (layer, kv) in enumerate(zip(layers, contexts, strict=True)):
            self.options["block_index"] = index
            if kv is not None:
                tokens = self.layer(layer, tokens, kv)
            else:
                tokens = layer(tokens, context=self._context, transformer_options=self.options)
        self.options["transformer_index"] += 1
        return tokens

    def layer(self, layer: TransformerLayer, x: Tensor, kv: KV) -> Tensor:
        """Run one layer; ``kv`` is the text's projection for it."""
        if self._concerns("attn1"):
            x = self._attention("attn1", layer.attn1, x, layer.norm1(x), self._context if layer.text_only else None)
        else:
            x = layer.attn1(layer.norm1(x), kv.first, plus=x)
        for patch in self._around.get("middle_patch", ()):
            x = patch(x, self._layer_options(layer.attn1))
        if self._concerns("attn2"):
            x = self._attention("attn2", layer.attn2, x, layer.norm2(x), self._context)
        else:
            normed = layer.norm2(x)
            if self._around.get("attn2_observer"):
                key = kv.key[:, :, : self._context.shape[1]]  # without the padding that speeds up the CPU
                self._observe("attn2", layer.attn2, layer.attn2.to_q(normed), key)
            x = layer.attn2(normed, kv, plus=x)
        return layer.ff(layer.norm3(x), plus=x)

    def _attention(self, name: str, attention: Any, x: Tensor, query: Tensor, context: Tensor | None = None) -> Tensor:
        """Return ``x`` plus the attention of ``query`` to ``context``, or to itself."""
        options = self._layer_options(attention)
        key = value = query if context is None else context
        for patch in self._around.get(f"{name}_patch", ()):
            query, key, value = patch(query, key, value, options)
        q, k, v = attention.to_q(query), attention.to_k(key), attention.to_v(value)
        if self._around.get(f"{name}_observer"):
            self._observe(name, attention, q, k.unflatten(2, (attention.heads, -1)).transpose(1, 2))
        replacement = self._replacement(name)
        tokens = attend(q, k, v, attention.heads) if replacement is None else replacement(q, k, v, options)
        project, _ = attention.to_out
        output_patches = self._around.get(f"{name}_output_patch", ())
        if not output_patches:
            return project(tokens, plus=x)
        tokens = project(tokens)
        for patch in output_patches:
            tokens = patch(tokens, options)
        return x + tokens

    def _observe(self, name: str, attention: Any, query: Tensor, key: Tensor) -> None:
        """Call the observers of an attention: ``query`` [B, T, C], ``key`` [B, heads, T, head width]."""
        query = query.unflatten(2, (attention.heads, -1)).transpose(1, 2)
        for observer in self._around.get(f"{name}_observer", ()):
            observer(query, key, self._layer_options(attention))

    def _concerns(self, name: str) -> bool:
        """Whether a patch changes that attention in the current layer."""
        return bool(
            self._around.get(f"{name}_patch")
            or self._around.get(f"{name}_output_patch")
            or self._replacement(name) is not None
        )

    def _replacement(self, name: str) -> Patch | None:
        by_block = self._instead.get(name, {})
        block = self.options.get("block", ())
        return by_block.get((*block, self.options.get("block_index", 0)), by_block.get(block))

    def _layer_options(self, attention: Any) -> dict[str, Any]:
        options = {name: value for name, value in self.options.items() if name not in ("patches", "patches_replace")}
        width = attention.to_q.out_features // attention.heads
        return {**options, "n_heads": attention.heads, "dim_head": width, "attn_precision": None}


def patched_layer(
    layer: TransformerLayer, x: Tensor, context: Tensor, transformer_options: Mapping[str, Any]
) -> Tensor:
    """Run ``layer`` with the options that it, or its replacement, was called with."""
    patches = UNetPatches(transformer_options, transformer_options.get("original_shape", ()), context)
    return patches.layer(layer, x, layer.project(context))


def with_part(network: Module, path: str, part: Any) -> Module:
    """Return a copy of ``network`` with ``part`` at ``path`` (``input_blocks.4.1`` …); all other modules are shared.

    Raises AttributeError if there is nothing at that path.
    """
    name, _, rest = path.partition(".")
    inside = getattr(network, name)
    changed = with_part(inside, rest, part) if rest else part
    copied = copy.copy(network)
    copied.__dict__["_modules"] = dict(network._modules)
    setattr(copied, name, changed)
    return copied


def has_patches(transformer_options: Mapping[str, Any]) -> bool:
    """Whether ``transformer_options`` has a function that a U-Net call would run."""
    groups = (transformer_options.get("patches"), transformer_options.get("patches_replace"))
    return any(any(group.values()) for group in groups if group)


def change_inside(control: Any, transformer_options: Mapping[str, Any]) -> str | None:
    """Return what makes a call differ from the plain network's, in a few words, or None."""
    if control is not None:
        return "a ControlNet or an adapter steers it"
    if has_patches(transformer_options):
        return "a node changes the inside of its network"
    if transformer_options.get(DEEP_FEATURES) is not None:
        return "DeepCache leaves parts of it out"
    return None
