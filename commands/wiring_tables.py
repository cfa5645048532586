"""Makes ``web/src/document/wired.json``: the nodes that the editor suggests first for a socket, and examples by node.

.venv/bin/python -m commands.wiring_tables

Counted in the examples in workflows/; where these say nothing, :data:`USUAL` lists the nodes that most workflows have.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from graph.formats import load
from graph.schema import Registry
from graph.workflow import Link, Workflow

ROOT: Final = Path(__file__).resolve().parents[1]
TARGET: Final = ROOT / "web" / "src" / "document" / "wired.json"

USUAL: Final[Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]]] = {
    "MODEL": (
        ("KSampler", "LoraLoader", "LoraLoaderModelOnly", "BasicGuider", "CFGGuider", "BasicScheduler", "FreeU_V2"),
        ("CheckpointLoaderSimple", "LoraLoader", "UNETLoader", "LoraLoaderModelOnly"),
    ),
    "CLIP": (
        ("CLIPTextEncode", "LoraLoader", "CLIPSetLastLayer", "CLIPTextEncodeSDXL"),
        ("CheckpointLoaderSimple", "LoraLoader", "CLIPLoader", "DualCLIPLoader", "CLIPSetLastLayer"),
    ),
    "VAE": (
        ("VAEDecode", "VAEEncode", "VAEDecodeTiled", "VAEEncodeForInpaint"),
        ("CheckpointLoaderSimple", "VAELoader"),
    ),
    "CONDITIONING": (
        ("KSampler", "ControlNetApplyAdvanced", "ConditioningCombine", "ConditioningSetArea", "CFGGuider"),
        ("CLIPTextEncode", "ControlNetApplyAdvanced", "ConditioningCombine", "CLIPTextEncodeSDXL"),
    ),
    "LATENT": (
        ("VAEDecode", "KSampler", "LatentUpscale", "LatentUpscaleBy", "SetLatentNoiseMask", "VAEDecodeTiled"),
        ("EmptyLatentImage", "KSampler", "VAEEncode", "LatentUpscale", "VAEEncodeForInpaint"),
    ),
    "IMAGE": (
        ("SaveImage", "PreviewImage", "VAEEncode", "ImageScale", "ImageUpscaleWithModel", "ControlNetApplyAdvanced"),
        ("VAEDecode", "LoadImage", "ImageScale", "ImageUpscaleWithModel", "VAEDecodeTiled"),
    ),
    "MASK": (
        (
            "SetLatentNoiseMask",
            "VAEEncodeForInpaint",
            "GrowMask",
            "InvertMask",
            "MaskPreview",
            "InpaintModelConditioning",
        ),
        ("LoadImage", "LoadImageMask", "GrowMask", "ImageToMask", "SolidMask"),
    ),
    "CONTROL_NET": (
        ("ControlNetApplyAdvanced", "SetUnionControlNetType"),
        ("ControlNetLoader", "SetUnionControlNetType"),
    ),
    "CLIP_VISION": (("CLIPVisionEncode",), ("CLIPVisionLoader", "unCLIPCheckpointLoader")),
    "CLIP_VISION_OUTPUT": (("unCLIPConditioning", "StyleModelApply"), ("CLIPVisionEncode",)),
    "STYLE_MODEL": (("StyleModelApply",), ("StyleModelLoader",)),
    "GLIGEN": (("GLIGENTextBoxApply",), ("GLIGENLoader",)),
    "UPSCALE_MODEL": (("ImageUpscaleWithModel",), ("UpscaleModelLoader",)),
    "SAMPLER": (("SamplerCustomAdvanced", "SamplerCustom"), ("KSamplerSelect",)),
    "SIGMAS": (
        ("SamplerCustomAdvanced", "SamplerCustom", "SplitSigmas", "FlipSigmas"),
        ("BasicScheduler", "KarrasScheduler", "AlignYourStepsScheduler", "SplitSigmas"),
    ),
    "GUIDER": (("SamplerCustomAdvanced",), ("CFGGuider", "BasicGuider")),
    "NOISE": (("SamplerCustomAdvanced",), ("RandomNoise", "DisableNoise")),
    "LATENT_OPERATION": (
        ("LatentApplyOperationCFG", "LatentApplyOperation"),
        ("LatentOperationSharpen", "LatentOperationTonemapReinhard"),
    ),
    "TOKENS": (("CLIPEncodeTokens",), ("CLIPTokenize",)),
    "DATASET": (("EncodeDataset", "TrainVAE", "TrainCLIP"), ("LoadCaptionedPictures",)),
    "ENCODED_DATASET": (("TrainDiffusionModel", "TrainTextualInversion", "DistilLCMLoRA"), ("EncodeDataset",)),
    "LORA_MODEL": (("SaveLoRANode", "LoraModelLoader"), ("TrainLoraNode", "DistilLCMLoRA")),
    "LOSS_MAP": (("LossGraphNode",), ("TrainLoraNode", "TrainDiffusionModel")),
    "STRING": (
        ("CLIPTextEncode", "StringConcatenate", "StringReplace", "PreviewAny"),
        ("PrimitiveStringMultiline", "PrimitiveString", "StringConcatenate"),
    ),
    "INT": (
        ("ComfyMathExpression", "EmptyLatentImage", "KSampler"),
        ("PrimitiveInt", "GetImageSize", "ComfyMathExpression"),
    ),
    "FLOAT": (("ComfyMathExpression", "KSampler"), ("PrimitiveFloat", "ComfyMathExpression")),
    "BOOLEAN": (("ComfySwitchNode", "ComfyNotNode"), ("PrimitiveBoolean", "StringContains")),
}
"""For each socket type, the nodes that most often take it and those that most often provide it, most usual first."""


def tables(registry: Registry, workflows: Mapping[str, Workflow]) -> dict[str, Any]:
    """Return the tables for the editor.

    ``after`` and ``before`` list classes by a type (``LATENT``) and, as counted in the workflows, by an output or an
    input of a class (``KSampler/0``, ``KSampler/positive``). ``examples`` lists the workflows that use a class.
    """
    after: defaultdict[str, Counter[str]] = defaultdict(Counter)
    before: defaultdict[str, Counter[str]] = defaultdict(Counter)
    kinds: dict[str, str] = {}
    examples: defaultdict[str, list[str]] = defaultdict(list)
    for name, workflow in sorted(workflows.items()):
        for class_type in sorted({node.class_type for node in workflow.nodes.values()}):
            examples[class_type].append(name)
        for node in workflow.nodes.values():
            for input_name, link in node.inputs.items():
                if not isinstance(link, Link):
                    continue
                origin = workflow.nodes[link.node].class_type
                kind = registry[origin].outputs[link.output].type
                for table, place, found in (
                    (after, f"{origin}/{link.output}", node.class_type),
                    (before, f"{node.class_type}/{input_name}", origin),
                ):
                    kinds[place] = kind
                    table[place][found] += 1
                    table[kind][found] += 1
    return {
        "after": _ranked(after, kinds, {kind: takers for kind, (takers, _) in USUAL.items()}),
        "before": _ranked(before, kinds, {kind: givers for kind, (_, givers) in USUAL.items()}),
        "examples": dict(sorted(examples.items())),
    }


def _ranked(
    counted: Mapping[str, Counter[str]], kinds: Mapping[str, str], usual: Mapping[str, Sequence[str]]
) -> dict[str, list[str]]:
    """Return the classes of each place. The usual ones of a type come first, because there are few examples; those of a
    socket, whose type ``kinds`` gives, come by number, and equally frequent ones in the order of their type."""
    ranked = {}
    for place in sorted({*counted, *usual}):
        order = {name: index for index, name in enumerate(usual.get(kinds.get(place, place), ()))}
        found = counted.get(place, Counter())
        listed = sorted(found, key=lambda name: (-found[name], order.get(name, len(order)), name))
        ranked[place] = list(dict.fromkeys([*usual.get(place, ()), *listed]))
    return ranked


def text_of(registry: Registry) -> str:
    """Return the file's text."""
    files = sorted((ROOT / "workflows").glob("*.json"))
    made = tables(registry, {path.stem: load(path, registry) for path in files})
    return json.dumps(made, indent=2, ensure_ascii=False) + "\n"


def main() -> None:
    from nodes import registry

    TARGET.write_text(text_of(registry()), encoding="utf-8")


if __name__ == "__main__":
    main()
