"""The nodes that save models, text encoders and VAEs, with the workflow that made them in the file's metadata."""

from __future__ import annotations

from graph.context import Context
from graph.node import ExtraPngInfo, Prompt, node
from graph.results import NodeResult, SavedFile
from nodes.types import Clip, Model, Vae


def _shown(files: list[SavedFile]) -> NodeResult:
    return NodeResult(ui={"files": [file.as_ui() for file in files]})


@node("CheckpointSave", display_name="Save Checkpoint", category="advanced/model_merging", output_node=True)
def checkpoint_save(
    *,
    model: Model,
    clip: Clip,
    vae: Vae,
    filename_prefix: str = "checkpoints/ComfyUI",
    prompt: Prompt = None,
    extra_pnginfo: ExtraPngInfo = None,
    context: Context,
) -> NodeResult:
    """Save a model, its text encoders and its VAE as one checkpoint, patches and merges applied.

    Raises SaveError if a merge overflowed, OutputFileError if the file cannot be written; no partial file remains.
    """
    from nodes.merging.saving import save_checkpoint

    return _shown(save_checkpoint(context, model, clip, vae, filename_prefix, prompt, extra_pnginfo))


@node("ModelSave", display_name="ModelSave", category="advanced/model_merging", output_node=True)
def model_save(
    *,
    model: Model,
    filename_prefix: str = "diffusion_models/ComfyUI",
    prompt: Prompt = None,
    extra_pnginfo: ExtraPngInfo = None,
    context: Context,
) -> NodeResult:
    """Save a diffusion model without text encoders and VAE, patches and merges applied.

    Raises SaveError and OutputFileError as Save Checkpoint does.
    """
    from nodes.merging.saving import save_checkpoint

    return _shown(save_checkpoint(context, model, None, None, filename_prefix, prompt, extra_pnginfo))


@node("CLIPSave", display_name="CLIPSave", category="advanced/model_merging", output_node=True)
def clip_save(
    *,
    clip: Clip,
    filename_prefix: str = "clip/ComfyUI",
    prompt: Prompt = None,
    extra_pnginfo: ExtraPngInfo = None,
    context: Context,
) -> NodeResult:
    """Save the text encoders, each in a separate file, with patches and merges applied.

    Raises SaveError and OutputFileError as Save Checkpoint does.
    """
    from nodes.merging.saving import save_clip

    return _shown(save_clip(context, clip, filename_prefix, prompt, extra_pnginfo))


@node("VAESave", display_name="VAESave", category="advanced/model_merging", output_node=True)
def vae_save(
    *,
    vae: Vae,
    filename_prefix: str = "vae/ComfyUI_vae",
    prompt: Prompt = None,
    extra_pnginfo: ExtraPngInfo = None,
    context: Context,
) -> NodeResult:
    """Save a VAE in a separate file.

    Raises OutputFileError if the file cannot be written; no partial file remains.
    """
    from nodes.merging.saving import save_vae

    return _shown(save_vae(context, vae, filename_prefix, prompt, extra_pnginfo))
