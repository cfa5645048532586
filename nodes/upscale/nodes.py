"""The nodes that enlarge pictures with a network."""

from __future__ import annotations

from typing import Annotated, Any

from graph.context import Context
from graph.folders import Folders
from graph.node import Files, node
from nodes.file_identity import identity
from nodes.types import Image, UpscaleModel


def _model_state(*, model_name: str, folders: Folders) -> Any:
    return identity(folders.find("upscale_models", model_name), folders)


@node(
    "UpscaleModelLoader",
    display_name="Load Upscale Model",
    category="loaders",
    fingerprint=_model_state,
    content_inputs=("model_name",),
    environment=False,
)
def upscale_model_loader(
    *, model_name: Annotated[str, Files("upscale_models", as_object=True)], context: Context
) -> UpscaleModel:
    """Open a network that enlarges pictures: ESRGAN (arXiv:1809.00219), SwinIR (arXiv:2108.10257) and others.

    Needs the optional library spandrel. Raises UpscaleModelError for another kind of model.
    """
    from nodes.models.checkpoint import Checkpoint
    from nodes.upscale.model import upscale_model_in

    return upscale_model_in(Checkpoint.open(context.folders.find("upscale_models", model_name)))


@node("ImageUpscaleWithModel", display_name="Upscale Image (using Model)", category="image/upscaling")
def image_upscale_with_model(*, upscale_model: UpscaleModel, image: Image) -> Image:
    """Enlarge pictures with a network: [B, H, W, C] to [B, H · scale, W · scale, 3].

    Pictures with sides above 512 pixels are enlarged in tiles, which get smaller if memory is short.
    Raises UpscaleModelError if memory is not enough.
    """
    from nodes.upscale.enlarge import enlarge

    return enlarge(upscale_model, image)
