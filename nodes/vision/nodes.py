"""The nodes that open CLIP's image encoders, alone or with a diffusion model, and encode pictures."""

from __future__ import annotations

from typing import Annotated, Any, Literal, NamedTuple

from graph.context import Context
from graph.folders import Folders
from graph.node import AddedLater, Files, node
from nodes.file_identity import identity
from nodes.models import contents
from nodes.models.checkpoint import Checkpoint
from nodes.models.nodes import check_any, models_of, or_blocked
from nodes.types import Clip, ClipVision, ClipVisionOutput, Image, Model, Vae
from nodes.vision.handle import clip_vision_in


class UnclipModels(NamedTuple):
    """The four models of an unCLIP checkpoint. A missing one is blocked with a message."""

    MODEL: Model
    CLIP: Clip
    VAE: Vae
    CLIP_VISION: ClipVision


class ImageModels(NamedTuple):
    """The models of a checkpoint that is conditioned only on a picture."""

    MODEL: Model
    CLIP_VISION: ClipVision
    VAE: Vae


def _vision_state(*, clip_name: str, folders: Folders) -> Any:
    return identity(folders.find("clip_vision", clip_name), folders)


def _checkpoint_state(*, ckpt_name: str, folders: Folders) -> Any:
    return identity(folders.find("checkpoints", ckpt_name), folders)


@node(
    "CLIPVisionLoader",
    display_name="Load CLIP Vision",
    category="loaders",
    fingerprint=_vision_state,
    content_inputs=("clip_name",),
    environment=False,
)
def clip_vision_loader(*, clip_name: Annotated[str, Files("clip_vision")], context: Context) -> ClipVision:
    """Open an image encoder of CLIP (arXiv:2103.00020): ViT-L, OpenCLIP's ViT-H or ViT-bigG.

    Raises CheckpointError, with a description of the file, for a file without one.
    """
    return clip_vision_in(Checkpoint.open(context.folders.find("clip_vision", clip_name)))


@node("CLIPVisionEncode", display_name="CLIP Vision Encode", category="conditioning")
def clip_vision_encode(
    *, clip_vision: ClipVision, image: Image, crop: Annotated[Literal["center", "none"], AddedLater]
) -> ClipVisionOutput:
    """Encode pictures as the vectors that CLIP compares with texts. "none" squeezes instead of cropping."""
    from nodes.vision.encoding import encode_pictures

    return encode_pictures(clip_vision, image, crop == "center")


@node(
    "unCLIPCheckpointLoader",
    category="loaders",
    fingerprint=_checkpoint_state,
    content_inputs=("ckpt_name",),
    environment=False,
)
def unclip_checkpoint_loader(*, ckpt_name: Annotated[str, Files("checkpoints")], context: Context) -> UnclipModels:
    """Open an unCLIP checkpoint (arXiv:2204.06125), which also holds the image encoder.

    Raises CheckpointError, naming the file and the tensor, for a damaged or unknown file.
    """
    checkpoint = Checkpoint.open(context.folders.find("checkpoints", ckpt_name))
    vision = or_blocked(lambda: clip_vision_in(checkpoint))
    return UnclipModels(*models_of(checkpoint, context.folders, vision), vision)


@node(
    "ImageOnlyCheckpointLoader",
    display_name="Image Only Checkpoint Loader (img2vid model)",
    category="loaders/video_models",
    fingerprint=_checkpoint_state,
    content_inputs=("ckpt_name",),
    environment=False,
)
def image_only_checkpoint_loader(*, ckpt_name: Annotated[str, Files("checkpoints")], context: Context) -> ImageModels:
    """Open a checkpoint that is conditioned on a picture and has no text encoder.

    Of a video model (SVD, arXiv:2311.15127), only the image encoder can be used; nodes that need the other outputs
    report an error. Raises CheckpointError for a damaged or unknown file.
    """
    checkpoint = Checkpoint.open(context.folders.find("checkpoints", ckpt_name))
    vision = or_blocked(lambda: clip_vision_in(checkpoint))
    model = or_blocked(lambda: contents.model_in(checkpoint))
    vae = or_blocked(lambda: contents.vae_in(checkpoint))
    check_any(checkpoint, model, vision, vae)
    return ImageModels(model, vision, vae)
