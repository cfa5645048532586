"""Help texts of the nodes that encode prompts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

FIELDS: Final[Mapping[str, Mapping[str, str]]] = {
    "CLIPEncodeTokens": {
        "tokens": "The tokens to encode.",
    },
    "CLIPTextEncodeA1111": {
        "text": "The prompt in A1111's syntax. LoRAs in it have no effect; load them with Load LoRA.",
        "steps": "Steps of the sampler that uses this prompt. Decides when [from:to:0.5] changes.",
        "steps_before": "Steps of the first pass if the sampler does a second one (hires fix), otherwise 0.",
        "clip_skip": "1 is the text encoder's last layer, 2 the one before. Only SD1 models change.",
        "emphasis": (
            "What weights do: Original keeps the mean of the vectors, No norm doesn't, Ignore drops the weights, None "
            "leaves the brackets in the text."
        ),
        "compose": "Whether AND joins several prompts. Turn it off for the negative prompt, as A1111 does.",
    },
    "CLIPTextEncodeSDXL": {
        "width": "Width in pixels of the training picture that the model should imagine. Larger looks sharper.",
        "height": "Height in pixels of the training picture that the model should imagine. Larger looks sharper.",
        "target_width": "Width in pixels that the picture is made for, usually its own.",
        "target_height": "Height in pixels that the picture is made for, usually its own.",
        "crop_w": "Pixels cropped from the left of the imagined training picture; 0 centres the subject.",
        "crop_h": "Pixels cropped from the top of the imagined training picture; 0 centres the subject.",
        "text_g": "The prompt for OpenCLIP ViT-bigG, the larger encoder.",
        "text_l": "The prompt for CLIP ViT-L, the smaller encoder. Usually the same.",
    },
    "CLIPTextEncodeSDXLRefiner": {
        "width": "Width in pixels of the training picture that the model should imagine.",
        "height": "Height in pixels of the training picture that the model should imagine.",
        "ascore": "Aesthetic score: about 6 for the prompt, 2.5 for the negative one.",
    },
    "CLIPSetLastLayer": {
        "stop_at_clip_layer": "The layer whose output is used: -1 is the last, -2 the one before.",
    },
}
