"""Help texts of the nodes that change encoded prompts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

FIELDS: Final[Mapping[str, Mapping[str, str]]] = {
    "ConditioningCombine": {
        "conditioning_1": "The first encoded prompt.",
        "conditioning_2": "The second encoded prompt.",
    },
    "ConditioningAverage": {
        "conditioning_to": "The prompt that strength 1 gives.",
        "conditioning_from": "The prompt that strength 0 gives.",
        "conditioning_to_strength": "Share of the first prompt: 1 is only conditioning_to.",
    },
    "ConditioningConcat": {
        "conditioning_to": "The prompt whose tokens come first.",
        "conditioning_from": "The prompt whose tokens are appended.",
    },
    "ConditioningSetArea": {
        "strength": "Weight of this prompt against others in the same place.",
    },
    "ConditioningSetAreaPercentage": {
        "width": "Width as a part of the picture's: 0.5 is half of it.",
        "height": "Height as a part of the picture's: 0.5 is half of it.",
        "strength": "Weight of this prompt against others in the same place.",
        "x": "Distance from the left edge, as a part of the picture's width.",
        "y": "Distance from the top edge, as a part of the picture's height.",
    },
    "ConditioningSetAreaStrength": {
        "strength": "Weight of this prompt against others in the same place.",
    },
    "ConditioningSetMask": {
        "mask": "Where the prompt applies: white.",
        "strength": "Weight of this prompt against others in the same place.",
        "set_cond_area": "Whether the model sees the whole picture or only the rectangle around the mask.",
    },
    "ConditioningSetTimestepRange": {
        "start": "Where in the sampling the prompt begins to apply: 0 is pure noise.",
        "end": "Where in the sampling the prompt stops applying: 1 is the finished picture.",
    },
    "unCLIPConditioning": {
        "strength": "How closely the result follows the picture; negative values lead away from it.",
        "noise_augmentation": "Noise on the encoded picture; more lets the result differ from it more.",
    },
    "InpaintModelConditioning": {
        "mask": "The area to repaint: white.",
        "noise_mask": "Whether sampling is limited to the mask. Without it, the whole picture may change a little.",
    },
    "SD_4XUpscale_Conditioning": {
        "images": "The picture to enlarge.",
        "noise_augmentation": "Noise on the picture to enlarge; more lets the model invent more detail.",
        "scale_ratio": "Factor on the sides of the picture.",
    },
}
