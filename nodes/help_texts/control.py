"""Help texts of the nodes that steer by pictures and boxes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

FIELDS: Final[Mapping[str, Mapping[str, str]]] = {
    "DiffControlNetLoader": {
        "model": "The model that the difference was made from; its weights are added to the file's.",
    },
    "SetUnionControlNetType": {
        "type": "What the picture that steers shows; auto lets the network decide.",
    },
    "ControlNetApply": {
        "image": "The picture that steers: edges, depth, a pose, as the control network expects.",
    },
    "ControlNetApplyAdvanced": {
        "vae": "Encodes the picture, for control networks that take latents. Others do not need it.",
        "image": "The picture that steers: edges, depth, a pose, as the control network expects.",
    },
    "ControlNetInpaintingAliMamaApply": {
        "image": "The picture whose masked part is repainted.",
        "mask": "The area to repaint: white.",
    },
    "GLIGENLoader": {
        "gligen_name": "The GLIGEN file in models/gligen.",
    },
    "GLIGENTextBoxApply": {
        "clip": "The text encoder that encodes the phrase.",
        "text": "The phrase for what the box should show.",
        "conditioning_to": "The prompt that gets the box.",
        "gligen_textbox_model": "The GLIGEN model.",
    },
    "StyleModelLoader": {
        "style_model_name": "The style model's file in models/style_models.",
    },
    "StyleModelApply": {
        "style_model": "The style model.",
        "strength_type": "multiply scales the tokens; attn_bias changes how much attention they get.",
    },
}
