"""The nodes that encode pictures to latents and decode them."""

from __future__ import annotations

from typing import Annotated

from graph.node import AddedLater, Range, node
from nodes.types import Image, Latent, Mask, Vae

Overlap = Annotated[int, Range(0, 4096, 32), AddedLater]
"""Pixels that neighbouring tiles share; at most a quarter of a tile is used."""
Frames = Annotated[int, Range(8, 4096, 4), AddedLater]
"""Used only by video models, since a picture has no time."""
FrameOverlap = Annotated[int, Range(4, 4096, 4), AddedLater]


@node("VAEDecode", display_name="VAE Decode", category="latent")
def vae_decode(*, samples: Latent, vae: Vae) -> Image:
    """Decode a latent to a picture: [B, 4, h, w] to [B, 8h, 8w, 3].

    A picture that does not fit in memory is decoded in tiles, and a notice says so.
    Raises VaeInputError for a latent of another kind of model.
    """
    from nodes.vae import coding
    from nodes.vae.network import autoencoder

    return coding.decode(autoencoder(vae), samples["samples"])


@node("VAEEncode", display_name="VAE Encode", category="latent")
def vae_encode(*, pixels: Image, vae: Vae) -> Latent:
    """Encode a picture to a latent: [B, H, W, C] to [B, 4, H // 8, W // 8].

    The picture is cropped around its centre to multiples of 8; transparency is dropped. Raises VaeInputError.
    """
    from nodes.vae import coding
    from nodes.vae.network import autoencoder

    return {"samples": coding.encode(autoencoder(vae), pixels)}


@node("VAEDecodeTiled", display_name="VAE Decode (Tiled)", category="_for_testing")
def vae_decode_tiled(
    *,
    samples: Latent,
    vae: Vae,
    tile_size: Annotated[int, Range(64, 4096, 32)] = 512,
    overlap: Overlap = 64,
    temporal_size: Frames = 64,
    temporal_overlap: FrameOverlap = 8,
) -> Image:
    """Decode a latent tile by tile, so that a large picture needs no more memory than a tile.

    Sizes are in pixels. Tiles are decoded separately, so colours may differ slightly from VAE Decode.
    Raises VaeInputError.
    """
    from nodes.vae import coding
    from nodes.vae.network import autoencoder

    return coding.decode_tiled(autoencoder(vae), samples["samples"], tile_size, overlap)


@node("VAEEncodeTiled", display_name="VAE Encode (Tiled)", category="_for_testing")
def vae_encode_tiled(
    *,
    pixels: Image,
    vae: Vae,
    tile_size: Annotated[int, Range(64, 4096, 64)] = 512,
    overlap: Overlap = 64,
    temporal_size: Frames = 64,
    temporal_overlap: FrameOverlap = 8,
) -> Latent:
    """Encode a picture tile by tile, so that a large one needs no more memory than a tile.

    Sizes are in pixels. Raises VaeInputError.
    """
    from nodes.vae import coding
    from nodes.vae.network import autoencoder

    return {"samples": coding.encode_tiled(autoencoder(vae), pixels, tile_size, overlap)}


@node("VAEEncodeForInpaint", display_name="VAE Encode (for Inpainting)", category="latent/inpaint")
def vae_encode_for_inpaint(
    *, pixels: Image, vae: Vae, mask: Mask, grow_mask_by: Annotated[int, Range(0, 64, 1), AddedLater] = 6
) -> Latent:
    """Encode a picture with grey in the masked area; sampling then paints only there.

    The mask is grown by ``grow_mask_by`` pixels, so that the seam is painted, too. Raises VaeInputError.
    """
    from nodes.vae import coding, inpainting
    from nodes.vae.network import autoencoder

    greyed, noise_mask = inpainting.prepare(pixels, mask, grow_mask_by, vae.config.factor)
    return {"samples": coding.encode(autoencoder(vae), greyed), "noise_mask": noise_mask}
