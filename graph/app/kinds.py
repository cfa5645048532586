"""The kind of field that an input becomes, from its declaration and its node's."""

from __future__ import annotations

from typing import Final, Literal

from graph.schema import Input, NodeType

Kind = Literal[
    "prompt",
    "negative",
    "picture",
    "size",
    "model",
    "lora",
    "strength",
    "steps",
    "guidance",
    "sampler",
    "scheduler",
    "denoise",
    "seed",
    "count",
    "text",
    "other",
]

_MODEL_FOLDERS: Final = ("checkpoints", "diffusion_models", "diffusers", "unet", "unet_gguf")
_MODEL_NAMES: Final = ("ckpt_name", "unet_name", "base_ckpt_name")
_GUIDANCE: Final = ("cfg", "cfg_conds", "cfg_cond2_negative", "guidance", "guidance_scale")
_SEEDS: Final = ("seed", "noise_seed")
_NAMED: Final[dict[tuple[str, str], Kind]] = {
    ("INT", "steps"): "steps",
    ("COMBO", "sampler_name"): "sampler",
    ("COMBO", "scheduler"): "scheduler",
    ("FLOAT", "denoise"): "denoise",
    **{("FLOAT", name): "guidance" for name in _GUIDANCE},
    **{("INT", name): "seed" for name in _SEEDS},
    **{("COMBO", name): "model" for name in _MODEL_NAMES},
    ("COMBO", "lora_name"): "lora",
}


def kind_of(declared: Input, node_type: NodeType) -> Kind:
    """Return the kind of an input; prompts, which depend on links, are only texts here."""
    if declared.type == "COMBO":
        if declared.hints.get("image_upload"):
            return "picture"
        if declared.files in _MODEL_FOLDERS:
            return "model"
        if declared.files == "loras" and _has(node_type, "MODEL"):
            return "lora"
    named = _NAMED.get((declared.type, declared.name))
    if named is not None:
        return named
    if declared.type == "FLOAT" and declared.name.startswith("strength") and "lora_name" in node_type.by_name:
        return "strength"
    if declared.type == "INT" and begins_empty(node_type):
        if declared.name in ("width", "height"):
            return "size"
        if declared.name == "batch_size":
            return "count"
    if declared.type == "STRING" and declared.hints.get("multiline"):
        return "text"
    return "other"


def begins_empty(node_type: NodeType) -> bool:
    """Whether a node makes latents or pictures out of nothing, so that its width and height are the picture's size."""
    makes = any(output.type in ("LATENT", "IMAGE") for output in node_type.outputs)
    return makes and "width" in node_type.by_name and not any(_has(node_type, kind) for kind in ("LATENT", "IMAGE"))


def samples(node_type: NodeType) -> bool:
    """Whether a node samples, or makes a part of sampling: noise, noise levels, a sampler or a guider."""
    made = {output.type for output in node_type.outputs}
    if made & {"NOISE", "SIGMAS", "SAMPLER", "GUIDER"}:
        return True
    return "LATENT" in made and ("steps" in node_type.by_name or _has(node_type, "GUIDER"))


def _has(node_type: NodeType, kind: str) -> bool:
    """Whether a node has a socket of a type."""
    return any(kind in declared.type.split(",") for declared in node_type.inputs)
