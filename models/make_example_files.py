"""Small model files with random weights, in the layouts of published files, for the example workflows.

    .venv/bin/python models/make_example_files.py [--models FOLDER]

Writes ``example_*.safetensors`` into the subfolders of the models folder, some 130 MB in all. The files show how the
nodes are wired; their pictures mean nothing, since nothing was trained.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from math import prod
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from nodes.control.controlnet_config import ControlNetConfig, expected_shapes, head_shapes
from nodes.lora.key_names import kohya_names
from nodes.models.checkpoint import Checkpoint
from nodes.models.contents import model_in, text_encoder_in
from nodes.models.text_config import TextConfig
from nodes.models.text_config import expected_shapes as text_shapes
from nodes.models.unet_config import Shape, UNetConfig
from nodes.models.unet_config import expected_shapes as unet_shapes
from nodes.models.vision_config import VisionConfig
from nodes.models.vision_config import expected_shapes as vision_shapes

HERE = Path(__file__).resolve().parent
EMBEDDED = HERE / "checkpoints" / "sumi-tiny.safetensors"

Tensors = dict[str, Tensor]


def drawn(shapes: Mapping[str, Shape], seed: int) -> Tensors:
    """Random weights that keep activations near unit size: norms near 1, biases near 0."""
    generator = torch.Generator().manual_seed(seed)
    tensors = {}
    for name, shape in shapes.items():
        values = torch.randn(shape, generator=generator)
        if len(shape) <= 1:
            tensors[name] = 0.02 * values + (0.0 if name.endswith("bias") else 1.0)
        else:
            tensors[name] = values / prod(shape[1:]) ** 0.5
    return tensors


def controlnet() -> Tensors:
    """A ControlNet for the embedded model: a copy of its encoder, as before training, and small random residuals."""
    checkpoint = Checkpoint.open(EMBEDDED)
    model = model_in(checkpoint)
    config = ControlNetConfig(replace(model.config, output_depth=(0,) * len(model.config.output_depth)))
    tensors = drawn(head_shapes(config), seed=1)
    for name in tensors:
        if name.startswith(("zero_convs.", "middle_block_out.")):
            tensors[name] = tensors[name] * 0.15
    for name in expected_shapes(config):
        if name not in tensors:
            tensors[name] = checkpoint.tensor(model.weights.prefix + name).clone()
    return {f"control_model.{name}": tensor for name, tensor in tensors.items()}


def unclip() -> Tensors:
    """A checkpoint in the layout of sd21-unclip-h: U-Net, text encoder, image encoder, and the embedded model's VAE."""
    vision = VisionConfig(width=128, layers=2, mlp=256, patch_size=14, image_size=224, projection=64)
    text = TextConfig(width=128, layers=3, mlp=256, activation="gelu", projection=64)
    unet = UNetConfig(
        model_channels=64,
        channel_mult=(1, 2),
        res_blocks=(1, 1),
        input_depth=(1, 1),
        output_depth=(1, 1, 1, 1),
        context_width=text.width,
        adm_in_channels=2 * vision.projection,
        linear_projections=True,
    )
    tensors = {f"model.diffusion_model.{name}": t for name, t in drawn(unet_shapes(unet), seed=2).items()}
    tensors |= openclip(drawn(text_shapes(text), seed=3), "text_model.", "cond_stage_model.model.")
    tensors |= openclip(drawn(vision_shapes(vision), seed=4), "vision_model.", "embedder.model.visual.")
    embedded = Checkpoint.open(EMBEDDED)
    prefix = "first_stage_model."
    return tensors | {name: embedded.tensor(name).clone() for name in embedded.shapes if name.startswith(prefix)}


_OPENCLIP = {
    "embeddings.token_embedding.weight": "token_embedding.weight",
    "embeddings.position_embedding.weight": "positional_embedding",
    "embeddings.class_embedding": "class_embedding",
    "embeddings.patch_embedding.weight": "conv1.weight",
    "final_layer_norm": "ln_final",
    "pre_layrnorm": "ln_pre",
    "post_layernorm": "ln_post",
    "encoder.layers": "transformer.resblocks",
    "layer_norm": "ln_",
    "mlp.fc1": "mlp.c_fc",
    "mlp.fc2": "mlp.c_proj",
    "self_attn.out_proj": "attn.out_proj",
}


def openclip(tensors: Tensors, outer: str, prefix: str) -> Tensors:
    """An encoder's tensors, named as in transformers, in OpenCLIP's layout: packed projections, transposed ends."""
    packed: Tensors = {}
    for name, tensor in tensors.items():
        if name in ("text_projection.weight", "visual_projection.weight"):
            packed["text_projection" if outer == "text_model." else "proj"] = tensor.T
        elif ".self_attn.q_proj." in name:
            parts = [tensors[name.replace("q_proj", f"{part}_proj")] for part in "qkv"]
            layer, ending = name.split(".")[3], name.rpartition(".")[2]
            packed[f"transformer.resblocks.{layer}.attn.in_proj_{ending}"] = torch.cat(parts)
        elif ".self_attn.k_proj." not in name and ".self_attn.v_proj." not in name:
            short = name.removeprefix(outer)
            for theirs, ours in _OPENCLIP.items():
                short = short.replace(theirs, ours)
            packed[short] = tensor
    return {prefix + name: tensor for name, tensor in packed.items()}


def lora() -> Tensors:
    """A LoRA for the embedded model's U-Net and text encoder, in kohya-ss's layout."""
    checkpoint = Checkpoint.open(EMBEDDED)
    unet, text = model_in(checkpoint).config, text_encoder_in(checkpoint).encoders[0].config
    layers = {name: unet_shapes(unet)[f"{layer}.weight"] for layer, name in kohya_names(unet).items() if "attn" in name}
    for name, shape in text_shapes(text).items():
        if name.endswith(("q_proj.weight", "v_proj.weight", "fc1.weight")):
            layers["lora_te_" + name.removesuffix(".weight").replace(".", "_")] = shape
    tensors: Tensors = {}
    for seed, (name, shape) in enumerate(layers.items()):
        factors = {"lora_up.weight": (shape[0], 4), "lora_down.weight": (4, shape[1])}
        own = drawn(factors, seed)
        tensors |= {f"{name}.{ending}": tensor * 0.3 for ending, tensor in own.items()}
        tensors[f"{name}.alpha"] = torch.tensor(2.0)
    return tensors


def loha() -> Tensors:
    """A LoHa for the embedded model's U-Net, in LyCORIS' layout."""
    unet = model_in(Checkpoint.open(EMBEDDED)).config
    tensors: Tensors = {}
    for seed, (layer, name) in enumerate(kohya_names(unet).items()):
        if "attn2" in name:
            out, width = unet_shapes(unet)[f"{layer}.weight"]
            factors = {f"hada_w{n}_{side}": (out, 4) if side == "a" else (4, width) for n in "12" for side in "ab"}
            tensors |= {f"{name}.{ending}": tensor * 0.4 for ending, tensor in drawn(factors, seed).items()}
            tensors[f"{name}.alpha"] = torch.tensor(2.0)
    return tensors


def embedding() -> Tensors:
    """A textual inversion of two vectors for the embedded model's text encoder."""
    width = text_encoder_in(Checkpoint.open(EMBEDDED)).encoders[0].config.width
    return {"emb_params": drawn({"emb": (2, width)}, seed=6)["emb"] * 0.3}


def variant() -> Tensors:
    """The embedded model's U-Net with slightly other weights, to merge with the original."""
    checkpoint = Checkpoint.open(EMBEDDED)
    model = model_in(checkpoint)
    tensors = {}
    for seed, name in enumerate(unet_shapes(model.config)):
        tensor = checkpoint.tensor(model.weights.prefix + name).float()
        generator = torch.Generator().manual_seed(seed)
        spread = tensor.std(unbiased=False) * 0.15
        tensors[name] = tensor + torch.randn(tensor.shape, generator=generator) * spread
    return tensors


def sdxl(is_refiner: bool) -> Tensors:
    """A checkpoint in the layout of SDXL's base or refiner: U-Net, text encoders, and the embedded model's VAE."""
    text_l = TextConfig(width=64, layers=2, mlp=128)
    text_g = TextConfig(width=128, layers=3, mlp=256, activation="gelu", projection=96)
    unet = UNetConfig(
        model_channels=64,
        channel_mult=(1, 1, 1) if is_refiner else (1, 2),
        res_blocks=(1, 1, 1) if is_refiner else (1, 1),
        input_depth=(0, 1, 0) if is_refiner else (0, 1),
        output_depth=(0, 0, 1, 1, 0, 0) if is_refiner else (1, 1, 0, 0),
        context_width=text_g.width if is_refiner else text_l.width + text_g.width,
        adm_in_channels=96 + (5 if is_refiner else 6) * 256,
        linear_projections=True,
    )
    tensors = {f"model.diffusion_model.{name}": t for name, t in drawn(unet_shapes(unet), seed=7).items()}
    embedders = "conditioner.embedders."
    large = openclip(drawn(text_shapes(text_g), seed=8), "text_model.", f"{embedders}{0 if is_refiner else 1}.model.")
    small = {} if is_refiner else drawn(text_shapes(text_l), seed=9)
    tensors |= large | {f"{embedders}0.transformer.{name}": tensor for name, tensor in small.items()}
    embedded = Checkpoint.open(EMBEDDED)
    prefix = "first_stage_model."
    return tensors | {name: embedded.tensor(name).clone() for name in embedded.shapes if name.startswith(prefix)}


def upscaler() -> Tensors:
    """A network in Real-ESRGAN's compact layout (SRVGGNetCompact) that doubles pictures."""
    shapes: dict[str, Shape] = {}
    for number, (out, inner) in enumerate([(16, 3), (16, 16), (16, 16)]):
        shapes |= {f"body.{2 * number}.weight": (out, inner, 3, 3), f"body.{2 * number}.bias": (out,)}
        shapes[f"body.{2 * number + 1}.weight"] = (out,)
    shapes |= {"body.6.weight": (12, 16, 3, 3), "body.6.bias": (12,)}
    return {name: tensor * (0.02 if name.startswith("body.6.") else 1.0) for name, tensor in drawn(shapes, 10).items()}


FILES: dict[str, Callable[[], Tensors]] = {
    "controlnet/example_controlnet.safetensors": controlnet,
    "checkpoints/example_unclip.safetensors": unclip,
    "loras/example_lora.safetensors": lora,
    "loras/example_loha.safetensors": loha,
    "embeddings/example_embedding.safetensors": embedding,
    "diffusion_models/example_variant.safetensors": variant,
    "checkpoints/example_sdxl_base.safetensors": lambda: sdxl(False),
    "checkpoints/example_sdxl_refiner.safetensors": lambda: sdxl(True),
    "upscale_models/example_upscaler.safetensors": upscaler,
}
"""Each file below the models folder, and the function that makes its tensors."""


def make(models: Path) -> list[Path]:
    """Write every example file below ``models``; returns their paths."""
    written = []
    for name, tensors in FILES.items():
        path = models / name
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file({key: tensor.half().contiguous() for key, tensor in tensors().items()}, path)
        written.append(path)
    return written


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=Path, default=HERE, help="the models folder (default: this one)")
    for path in make(parser.parse_args().models):
        print(f"{path}: {path.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
