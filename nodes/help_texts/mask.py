"""Help texts of the nodes for masks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

FIELDS: Final[Mapping[str, Mapping[str, str]]] = {
    "SolidMask": {
        "value": "The value everywhere in the mask, from 0 to 1.",
    },
    "MaskComposite": {
        "source": "The mask on top.",
        "destination": "The mask below.",
        "operation": "How the two masks are combined.",
    },
    "FeatherMask": {
        "left": "Pixels over which the mask fades out at the left edge.",
        "top": "Pixels over which the mask fades out at the top edge.",
        "right": "Pixels over which the mask fades out at the right edge.",
        "bottom": "Pixels over which the mask fades out at the bottom edge.",
    },
    "GrowMask": {
        "expand": "Pixels to grow by; negative values shrink the mask.",
        "tapered_corners": "Whether corners are left out of each step, so that shapes become rounder.",
    },
    "BlurMask": {
        "mask": "The mask to blur.",
        "sigma": "Standard deviation of the blur in pixels. 0 changes nothing.",
    },
    "FillMaskedArea": {
        "image": "The pictures with a part to replace.",
        "mask": "The part to fill: 1 is filled.",
    },
    "ResizeAndFillImage": {
        "width": "Width in pixels of the result.",
        "height": "Height in pixels of the result.",
    },
    "ThresholdMask": {
        "value": "Values above this become 1, all others 0.",
    },
    "ImageColorToMask": {
        "color": "The colour to select; it must match exactly.",
    },
    "JoinImageWithAlpha": {
        "alpha": "The mask that becomes transparency: 1 is transparent.",
    },
    "PorterDuffImageComposite": {
        "mode": (
            "The operator: SRC_OVER puts the source on top, SRC_IN shows it only inside the destination, and so on."
        ),
        "source_alpha": "Transparency of the source: 1 is transparent.",
        "destination_alpha": "Transparency of the destination: 1 is transparent.",
    },
}
