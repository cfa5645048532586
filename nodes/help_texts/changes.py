"""Help texts of the nodes that change a model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

FIELDS: Final[Mapping[str, Mapping[str, str]]] = {
    "RescaleCFG": {
        "multiplier": "Share of the rescaled guidance: 0 is normal guidance, 0.7 is usual.",
    },
    "APG": {
        "eta": "Scale of the part of guidance that oversaturates; 1 is normal guidance, 0 removes it.",
        "norm_threshold": "Limit on the length of the guidance; 0 sets none.",
        "momentum": "Share of the last step's guidance that is added; negative values counteract it.",
    },
    "FreSca": {
        "scale_low": "Factor on the low frequencies, which carry composition and contrast.",
        "scale_high": "Factor on the high frequencies, which carry detail.",
        "freq_cutoff": "Half side of the square of low frequencies, in frequency steps of the latent.",
    },
    "Epsilon Scaling": {
        "scaling_factor": "The number that predicted noise is divided by. 1 changes nothing.",
    },
    "PerturbedAttentionGuidance": {
        "scale": "Strength of this guidance, beside cfg.",
    },
    "SelfAttentionGuidance": {
        "scale": "Strength of this guidance, beside cfg.",
        "blur_sigma": "Width of the blur over the attended parts.",
    },
    "LatentApplyOperationCFG": {
        "operation": "The operation to apply.",
    },
    "HypernetworkLoader": {
        "model": "The diffusion model that gets the hypernetwork.",
        "hypernetwork_name": "The hypernetwork's file in models/hypernetworks.",
    },
    "ModelSamplingDiscrete": {
        "sampling": "What the network predicts: eps (noise), v_prediction (velocity), lcm, or x0 (the picture).",
        "zsnr": "Whether the strongest noise level is pure noise (zero signal), for very dark or bright pictures.",
    },
    "ModelSamplingContinuousEDM": {
        "sampling": "What the network predicts: velocity, EDM's form of it, or noise.",
    },
    "ModelSamplingContinuousV": {
        "sampling": "What the network predicts: the velocity.",
    },
    "HyperTile": {
        "tile_size": "Smallest side of a tile, in pixels. Smaller is faster and less coherent.",
        "swap_size": "How many tile sizes are chosen from at random. More hides the seams better.",
        "max_depth": "How many reduced resolutions inside the U-Net are tiled, too; 0 is only the full one.",
        "scale_depth": "Whether tiles grow with each reduction, so that they hold equally many values.",
    },
    "TomePatchModel": {
        "ratio": "Share of the tokens that are merged; more is faster and loses more detail.",
    },
    "EasyCache": {
        "reuse_threshold": "Expected change at which the output is computed again. Larger is faster and less exact.",
        "start_percent": "Where in the sampling reuse begins: 0 is the first step, 1 the end.",
        "end_percent": "Where in the sampling reuse ends: 0 is the first step, 1 the end.",
        "verbose": "Whether the log gets a line for each step.",
    },
    "LazyCache": {
        "reuse_threshold": "Expected change at which the output is computed again. Larger is faster and less exact.",
        "start_percent": "Where in the sampling reuse begins: 0 is the first step, 1 the end.",
        "end_percent": "Where in the sampling reuse ends: 0 is the first step, 1 the end.",
        "verbose": "Whether the log gets a line for each step.",
    },
    "DeepCache": {
        "cache_interval": "Every so many steps the whole U-Net is computed. Larger is faster and less exact.",
        "cache_depth": "Number of outer levels that every step computes. Smaller is faster and less exact.",
    },
    "GuidanceInterval": {
        "start_percent": "Where in the sampling guidance begins: 0 is the first step, 1 the end.",
        "end_percent": "Where in the sampling guidance ends: 0 is the first step, 1 the end.",
    },
    "AdaptiveGuidance": {
        "threshold": "Difference of both predictions below which guidance ends. Larger is faster; 0 never ends it.",
    },
    "PatchModelAddDownscale": {
        "upscale_method": "How feature maps are enlarged again.",
        "downscale_method": "How feature maps are reduced.",
        "block_number": "The input block after which the feature maps are reduced.",
        "downscale_factor": "The number that the sides are divided by.",
        "downscale_after_skip": "Whether to reduce after the skip connection is stored, which keeps its detail.",
    },
    "DifferentialDiffusion": {
        "strength": "How much of the mask's grey levels is used; 0 leaves the model unchanged.",
    },
    "UNetTemporalAttentionMultiply": {
        "self_structural": "Factor on self-attention within a picture.",
        "self_temporal": "Factor on self-attention between pictures of a video.",
        "cross_structural": "Factor on attention to the text within a picture.",
        "cross_temporal": "Factor on attention to the text between pictures of a video.",
    },
    "ModelComputeDtype": {
        "model": "The model whose computing precision is set.",
        "dtype": "The precision to compute in.",
    },
    "TorchCompileModel": {
        "model": "The model to compile.",
        "backend": "The compiler: inductor makes fast kernels, cudagraphs replays recorded ones.",
    },
}
