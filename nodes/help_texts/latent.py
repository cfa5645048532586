"""Help texts of the nodes for latents."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

FIELDS: Final[Mapping[str, Mapping[str, str]]] = {
    "EmptyLatentImage": {
        "width": "Width of the picture in pixels, a multiple of 8.",
        "height": "Height of the picture in pixels, a multiple of 8.",
        "batch_size": "Number of pictures that are made together.",
    },
    "LatentUpscale": {
        "width": "New width in pixels. 0 keeps the aspect ratio.",
        "height": "New height in pixels. 0 keeps the aspect ratio.",
    },
    "LatentComposite": {
        "samples_to": "The latent below.",
        "samples_from": "The latent on top.",
        "feather": "Pixels over which the pasted edges fade.",
    },
    "LatentCompositeMasked": {
        "mask": "Where the source covers the destination: white. Without a mask, everywhere.",
        "source": "The latent on top.",
        "destination": "The latent below.",
    },
    "LatentBlend": {
        "blend_factor": "Share of the first latent: 1 is only the first.",
    },
    "LatentInterpolate": {
        "ratio": "Share of the first latent: 1 is all samples1, 0 all samples2.",
    },
    "LatentConcat": {
        "dim": "The axis to join along. A minus puts the second latent first.",
    },
    "LatentCut": {
        "amount": "Number of columns or rows, of 8 pixels each.",
        "index": "First column or row, from 0. Negative numbers count from the end.",
    },
    "LatentBatchSeedBehavior": {
        "seed_behavior": "Whether the items of a batch get different noise (random) or the same (fixed).",
    },
    "RepeatLatentBatch": {
        "amount": "Number of repetitions.",
    },
    "RebatchLatents": {
        "latents": "The batches to regroup.",
    },
    "SetLatentNoiseMask": {
        "samples": "The latent to change only inside the mask.",
        "mask": "The area to sample: white. The rest does not change.",
    },
    "SaveLatent": {
        "samples": "The latent to save.",
    },
    "LoadLatent": {
        "latent": "The .latent file in the input folder.",
    },
    "LatentApplyOperation": {
        "operation": "The operation to apply.",
    },
    "LatentOperationTonemapReinhard": {
        "multiplier": "Where compression begins; lower compresses more.",
    },
    "LatentOperationSharpen": {
        "sigma": "Width of the blur that is subtracted.",
        "alpha": "How strongly to sharpen.",
        "sharpen_radius": "Radius of the blur in latent values of 8 pixels.",
    },
    "LatentCutToBatch": {
        "slice_size": "Length of each slice in latent values of 8 pixels.",
    },
}
