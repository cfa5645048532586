"""Help texts of the nodes that filter pictures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

FIELDS: Final[Mapping[str, Mapping[str, str]]] = {
    "ImageBlend": {
        "blend_factor": "Share of the blended picture: 0 is only the first picture.",
        "blend_mode": "How colours are blended, as layers in image editors are.",
    },
    "ImageBlur": {
        "sigma": "Width of the blur, relative to the radius.",
        "blur_radius": "Radius of the blur in pixels.",
    },
    "ImageSharpen": {
        "sigma": "Width of the blur that is subtracted, relative to the radius.",
        "alpha": "How strongly to sharpen.",
        "sharpen_radius": "Radius of the blur in pixels.",
    },
    "ImageQuantize": {
        "colors": "Number of colours in the palette.",
        "dither": "How dots of two colours imitate those between: floyd-steinberg is irregular, bayer a grid.",
    },
    "Morphology": {
        "operation": "Dilate and erode, open and close, or the differences that show edges and small spots.",
        "kernel_size": "Side of the square in pixels, an odd number.",
    },
    "Canny": {
        "low_threshold": "Edges weaker than this are dropped.",
        "high_threshold": "Edges stronger than this are kept. Those between the two stay if they touch a kept one.",
    },
    "ImageYUVToRGB": {
        "Y": "The brightness, as a grey picture.",
        "U": "The blue colour difference, as a grey picture.",
        "V": "The red colour difference, as a grey picture.",
    },
    "ImageAddNoise": {
        "strength": "Standard deviation of the noise; the picture's range is 0 to 1.",
        "seed": "Start of the random numbers; the same seed gives the same noise.",
    },
}
