"""Help texts of the nodes that explain."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

FIELDS: Final[Mapping[str, Mapping[str, str]]] = {
    "ExplainForwardDiffusion": {
        "model": "The diffusion model whose noise levels are used.",
        "frames": "Number of timesteps to show, if timesteps is empty.",
        "timesteps": "The timesteps to show, such as 0, 200, 500, 999; empty for equal distances.",
        "seed": "Start of the random numbers of the noise; KSampler starts with the same noise.",
        "image": "The picture that noise is added to.",
        "latent": "The latent that noise is added to, instead of the encoded picture.",
        "vae": "The autoencoder that encodes the picture and decodes the noisy latents.",
    },
    "ExplainNearestTokens": {
        "text": "A word or a textual inversion, such as embedding:name.",
        "neighbours": "Number of neighbours of each token.",
    },
    "ExplainNoiseSchedules": {
        "model": "The diffusion model whose noise levels are plotted.",
        "steps": "Number of steps of every scheduler.",
    },
    "ExplainPromptSimilarity": {
        "text_1": "The prompt whose tokens are the rows.",
        "text_2": "The prompt whose tokens are the columns.",
        "compare": "encoded compares what reaches the diffusion model, token table what enters the text encoder.",
    },
    "ExplainVAE": {
        "image": "The picture to encode and decode.",
    },
    "ExtractVAE": {
        "format": "safetensors is safe and usual; pt is torch.save's format, for older programs.",
    },
    "ExplainReverseDiffusion": {
        "seed": "Start of the random numbers. The same seed and settings give the same picture.",
        "decode": "How latents become pictures: by the VAE, or by quick colours, which are approximate.",
        "frames": "Number of steps to show, from the first to the last.",
        "shown_steps": "Numbers of the steps to show, such as 1, 5, 20. Empty shows evenly spread ones.",
    },
    "ExplainReverseDiffusionCustom": {
        "noise": "The noise to add at the start.",
        "guider": "What steers the sampling: prompts and how they are combined.",
        "decode": "How latents become pictures: by the VAE, or by quick colours, which are approximate.",
        "frames": "Number of steps to show, from the first to the last.",
        "shown_steps": "Numbers of the steps to show, such as 1, 5, 20. Empty shows evenly spread ones.",
    },
    "ExplainCrossAttention": {
        "seed": "Start of the random numbers. The same seed and settings give the same picture.",
        "decode": "How latents become pictures: by the VAE, or by quick colours, which are approximate.",
        "positive": "The encoded prompt, if other nodes change it. Empty: the prompt is encoded here.",
        "words": "Words or phrases to show, separated by commas. Empty shows all words.",
    },
    "ExplainCLIPSimilarity": {
        "clip_vision": "The image encoder.",
        "clip": "CLIP's text encoder, with the text projection that belongs to the image encoder.",
        "captions": "The captions to compare, one per line.",
        "ranking": "Whether captions are ranked for each picture, or pictures for each caption.",
    },
}
