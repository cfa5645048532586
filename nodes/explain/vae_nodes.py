"""The nodes that show an autoencoder, and take it out of a checkpoint."""

from __future__ import annotations

import logging
from typing import Annotated, Any, Literal

from graph.context import Context, warn
from graph.folders import Folders
from graph.node import ExtraPngInfo, Files, Prompt, node
from nodes.explain.results import CATEGORY, Explained, shown
from nodes.file_identity import identity
from nodes.types import Image, Vae

log = logging.getLogger(__name__)


@node("ExplainVAE", display_name="VAE Inside", category=CATEGORY, output_node=True)
def explain_vae(
    *, vae: Vae, image: Image, prompt: Prompt = None, extra_pnginfo: ExtraPngInfo = None, context: Context
) -> Explained:
    """Show a picture, its latent's channels, its reconstruction and their difference, with the sizes in numbers.

    A VAE of Stable Diffusion turns 512×512×3 = 786,432 numbers into 64×64×4 = 16,384, 48 times fewer
    (arXiv:2112.10752). Its encoder gives each a mean and a spread (arXiv:1312.6114); the reconstruction is decoded from
    the means. Of a batch, the first picture is shown.
    Raises VaeInputError for a picture that is too small.
    """
    from nodes.explain.vae_cards import vae_card
    from nodes.explain.vae_look import look

    if len(image) > 1:
        warn(log, f"the first of {len(image)} pictures is shown")
    picture, tables = vae_card(look(vae, image[0]))
    return shown(context, picture, *tables, prompt=prompt, extra_pnginfo=extra_pnginfo)


def _checkpoint_state(*, ckpt_name: str, folders: Folders) -> Any:
    return identity(folders.find("checkpoints", ckpt_name), folders)


@node(
    "ExtractVAE",
    display_name="Extract VAE from Checkpoint",
    category=CATEGORY,
    output_node=True,
    fingerprint=_checkpoint_state,
    environment=False,
)
def extract_vae(
    *,
    ckpt_name: Annotated[str, Files("checkpoints")],
    filename_prefix: str = "vae/extracted",
    format: Literal["safetensors", "pt"] = "safetensors",
    prompt: Prompt = None,
    extra_pnginfo: ExtraPngInfo = None,
    context: Context,
) -> Explained:
    """Save the VAE of a checkpoint (``first_stage_model.``) as a separate file, and show the checkpoint's parts.

    The tensors lose the prefix and keep their values and precision. The file is in the output folder; Load VAE lists
    the ones in its subfolder vae. ``pt`` is torch.save's format, which older programs read.
    Raises CheckpointError, naming the file and the tensor, for a checkpoint without a VAE; OutputFileError.
    """
    from nodes.explain.extraction import parts_of, save_extracted
    from nodes.explain.vae_cards import extraction_card
    from nodes.models.checkpoint import Checkpoint
    from nodes.models.contents import vae_in

    checkpoint = Checkpoint.open(context.folders.find("checkpoints", ckpt_name))
    vae = vae_in(checkpoint)
    files = save_extracted(context, vae, filename_prefix, format, prompt, extra_pnginfo)
    picture, table = extraction_card(parts_of(checkpoint, vae), files[0].relative)
    return shown(context, picture, table, prompt=prompt, extra_pnginfo=extra_pnginfo, files=files)
