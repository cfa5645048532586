"""The U-Net as a graph for OpenVINO, Intel's inference library.

The graph computes what :class:`nodes.unet.unet.UNet` computes without patches and control: the same layers
(:func:`nodes.models.unet_config.layout`) with the same tensors. Batch, height, width and number of tokens are free, so
one compiled graph serves every size.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from nodes.models import unet_config as parts
from nodes.models.unet_config import Block, UNetConfig, layout

if TYPE_CHECKING:
    import openvino
    import torch

    Tensors = Callable[[str], torch.Tensor]

GROUPS: Final = 32
_NORM_EPS, _TRANSFORMER_NORM_EPS = 1e-5, 1e-6
INPUTS: Final = ("x", "embedding", "context", "y")
"""The inputs: latents [B, in, h, w], the timesteps' sinusoidal embedding [B, model_channels], the text [B, T, width],
and, for models with one, the vector [B, adm_in_channels] or the class labels [B], int64. All others are float32."""


def unet_graph(config: UNetConfig, tensor: Tensors) -> openvino.Model:
    """Return the graph of a U-Net. ``tensor`` returns a tensor by its name; it may be shared with the graph.

    The output is [B, out_channels, h, w], float32.
    """
    return _Graph(config, tensor).model()


class _Graph:
    def __init__(self, config: UNetConfig, tensor: Tensors):
        import openvino.opset13 as ops

        self.ops: Any = ops
        self.config = config
        self._tensor = tensor

    def model(self) -> openvino.Model:
        import openvino

        ops, config = self.ops, self.config
        plan = layout(config)
        inputs = [
            ops.parameter([-1, config.in_channels, -1, -1], openvino.Type.f32, name="x"),
            ops.parameter([-1, config.model_channels], openvino.Type.f32, name="embedding"),
        ]
        if config.context_width:
            inputs.append(ops.parameter([-1, -1, config.context_width], openvino.Type.f32, name="context"))
        x, embedding, context = inputs[0], inputs[1], inputs[2] if config.context_width else None
        embedding = self.embedded(embedding, "time_embed")
        if config.adm_in_channels is not None:
            inputs.append(ops.parameter([-1, config.adm_in_channels], openvino.Type.f32, name="y"))
            embedding = ops.add(embedding, self.embedded(inputs[-1], "label_emb.0"))
        elif config.classes is not None:
            inputs.append(ops.parameter([-1], openvino.Type.i64, name="y"))
            labels = ops.gather(self.weight("label_emb.weight"), inputs[-1], ops.constant(0))
            embedding = ops.add(embedding, labels)
        embedding = ops.swish(embedding)

        h, skips = x, []
        for number, block in enumerate(plan.input_blocks):
            h = self.block(f"input_blocks.{number}", block, h, embedding, context)
            skips.append(h)
        h = self.block("middle_block", plan.middle_block, h, embedding, context)
        for number, block in enumerate(plan.output_blocks):
            h = ops.concat([h, skips.pop()], 1)
            size = self.size(skips[-1]) if skips else None
            h = self.block(f"output_blocks.{number}", block, h, embedding, context, size)
        h = self.convolution("out.2", ops.swish(self.group_norm("out.0", h, _NORM_EPS)))
        for parameter in inputs:
            parameter.output(0).set_names({parameter.get_friendly_name()})
        return openvino.Model([ops.result(h)], inputs, "unet")

    def block(self, name: str, block: Block, h: Any, embedding: Any, context: Any, size: Any = None) -> Any:
        for number, part in enumerate(block):
            path = f"{name}.{number}"
            match part:
                case parts.Convolution():
                    h = self.convolution(path, h)
                case parts.Residual(in_channels, out_channels):
                    h = self.residual_block(path, h, embedding, in_channels != out_channels)
                case parts.Transformer():
                    h = self.transformer(path, part, h, context)
                case parts.Downsample():
                    h = self.convolution(f"{path}.op", h, stride=2)
                case parts.Upsample():
                    h = self.convolution(f"{path}.conv", self.upsampled(h, size))
        return h

    def residual_block(self, path: str, x: Any, embedding: Any, changes_channels: bool) -> Any:
        ops = self.ops
        h = self.convolution(f"{path}.in_layers.2", ops.swish(self.group_norm(f"{path}.in_layers.0", x, _NORM_EPS)))
        added = self.linear(f"{path}.emb_layers.1", embedding)
        h = ops.add(h, ops.unsqueeze(added, ops.constant([2, 3])))
        h = ops.swish(self.group_norm(f"{path}.out_layers.0", h, _NORM_EPS))
        h = self.convolution(f"{path}.out_layers.3", h)
        return ops.add(h, self.convolution(f"{path}.skip_connection", x) if changes_channels else x)

    def transformer(self, path: str, part: parts.Transformer, x: Any, context: Any) -> Any:
        ops, channels = self.ops, part.channels
        heads = self.config.heads(channels)
        positions = ops.transpose(self.group_norm(f"{path}.norm", x, _TRANSFORMER_NORM_EPS), ops.constant([0, 2, 3, 1]))
        tokens = self.linear(f"{path}.proj_in", self.reshaped(positions, [0, -1, channels]))
        for layer in range(part.depth):
            name = f"{path}.transformer_blocks.{layer}"
            h = self.layer_norm(f"{name}.norm1", tokens)
            first = context if part.text_only else h
            tokens = ops.add(self.attention(f"{name}.attn1", h, first, heads, channels), tokens)
            h = self.layer_norm(f"{name}.norm2", tokens)
            tokens = ops.add(self.attention(f"{name}.attn2", h, context, heads, channels), tokens)
            h = self.gated(f"{name}.ff.net.0.proj", self.layer_norm(f"{name}.norm3", tokens))
            tokens = ops.add(self.linear(f"{name}.ff.net.2", h), tokens)
        tokens = self.linear(f"{path}.proj_out", tokens)
        positions = ops.reshape(tokens, ops.shape_of(positions), special_zero=False)
        return ops.add(ops.transpose(positions, ops.constant([0, 3, 1, 2])), x)

    def attention(self, name: str, x: Any, context: Any, heads: int, channels: int) -> Any:
        ops = self.ops
        query, key, value = (
            ops.transpose(
                self.reshaped(self.linear(f"{name}.{part}", source, bias=False), [0, 0, heads, channels // heads]),
                ops.constant([0, 2, 1, 3]),
            )
            for part, source in (("to_q", x), ("to_k", context), ("to_v", context))
        )
        attended = ops.scaled_dot_product_attention(query, key, value, causal=False)
        attended = ops.transpose(attended, ops.constant([0, 2, 1, 3]))
        return self.linear(f"{name}.to_out.0", self.reshaped(attended, [0, 0, channels]))

    def gated(self, name: str, x: Any) -> Any:
        """Multiply the first half of a linear layer's result by GELU of the second (Shazeer, arXiv:2002.05202)."""
        value, gate = (self.linear(name, x, half=half) for half in (0, 1))
        return self.ops.multiply(value, self.ops.gelu(gate, "erf"))

    def embedded(self, x: Any, name: str) -> Any:
        return self.linear(f"{name}.2", self.ops.swish(self.linear(f"{name}.0", x)))

    def upsampled(self, x: Any, size: Any) -> Any:
        ops = self.ops
        sized = {"axes": ops.constant([2, 3]), "mode": "nearest", "nearest_mode": "floor"}
        sized["coordinate_transformation_mode"] = "asymmetric"
        if size is None:
            return ops.interpolate(x, ops.constant([2.0, 2.0]), shape_calculation_mode="scales", **sized)
        return ops.interpolate(x, size, shape_calculation_mode="sizes", **sized)

    def size(self, x: Any) -> Any:
        """Return height and width of a feature map."""
        return self.ops.gather(self.ops.shape_of(x), self.ops.constant([2, 3]), self.ops.constant(0))

    def linear(self, name: str, x: Any, bias: bool = True, half: int | None = None) -> Any:
        """A linear layer, or half of its outputs; 1x1 convolutions over tokens count as linear."""
        weight = self.weight(f"{name}.weight", lambda tensor: _half(tensor.flatten(1), half))
        product = self.ops.matmul(x, weight, False, True)
        if not bias:
            return product
        return self.ops.add(product, self.weight(f"{name}.bias", lambda tensor: _half(tensor, half)))

    def convolution(self, name: str, x: Any, stride: int = 1) -> Any:
        weight = self._tensor(f"{name}.weight")
        pad = [weight.shape[-1] // 2] * 2
        product = self.ops.convolution(x, self.constant(weight), [stride] * 2, pad, pad, [1, 1])
        return self.ops.add(product, self.weight(f"{name}.bias", lambda tensor: tensor[None, :, None, None]))

    def group_norm(self, name: str, x: Any, eps: float) -> Any:
        scale, bias = self.weight(f"{name}.weight"), self.weight(f"{name}.bias")
        return self.ops.group_normalization(x, scale, bias, GROUPS, eps)

    def layer_norm(self, name: str, x: Any) -> Any:
        ops = self.ops
        normal = ops.mvn(x, ops.constant([-1]), True, _NORM_EPS, "inside_sqrt")
        return ops.add(ops.multiply(normal, self.weight(f"{name}.weight")), self.weight(f"{name}.bias"))

    def reshaped(self, x: Any, shape: list[int]) -> Any:
        """Reshape; 0 keeps the side at that place."""
        return self.ops.reshape(x, self.ops.constant(shape), special_zero=True)

    def weight(self, name: str, change: Callable[[torch.Tensor], torch.Tensor] | None = None) -> Any:
        tensor = self._tensor(name)
        return self.constant(tensor if change is None else change(tensor))

    def constant(self, tensor: torch.Tensor) -> Any:
        """A weight: fp16 ones are shared with the file, all others become float32."""
        import torch

        if tensor.dtype is not torch.float16:
            return self.ops.constant(tensor.float().contiguous().numpy())
        stored = self.ops.constant(tensor.contiguous().numpy(), shared_memory=True)
        return self.ops.convert(stored, "f32")


def _half(tensor: torch.Tensor, half: int | None) -> torch.Tensor:
    return tensor if half is None else tensor.chunk(2)[half]
