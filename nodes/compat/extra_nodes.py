"""``comfy_extras``: the module and the name under which packs import each node class.

Modules that contain more than node classes are files in ``nodes/compat/comfy_extras``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from nodes.compat.missing.names import NO_SUCH_NODE, reason_for
from nodes.compat.missing.stand_ins import stand_in

PACKAGE: Final = "comfy_extras"

CLASSES: Final[Mapping[str, str]] = {
    "nodes_advanced_samplers": "SamplerEulerCFGpp SamplerLCMUpscale",
    "nodes_align_your_steps": "AlignYourStepsScheduler",
    "nodes_apg": "APG",
    "nodes_attention_multiply": (
        "CLIPAttentionMultiply UNetCrossAttentionMultiply UNetSelfAttentionMultiply UNetTemporalAttentionMultiply"
    ),
    "nodes_canny": "Canny",
    "nodes_clip_sdxl": "CLIPTextEncodeSDXL CLIPTextEncodeSDXLRefiner",
    "nodes_compositing": "JoinImageWithAlpha PorterDuffImageComposite SplitImageWithAlpha",
    "nodes_cond": "CLIPTextEncodeControlnet",
    "nodes_controlnet": "ControlNetInpaintingAliMamaApply SetUnionControlNetType",
    "nodes_custom_sampler": (
        "AddNoise BasicGuider BasicScheduler BetaSamplingScheduler CFGGuider DisableNoise DualCFGGuider "
        "ExponentialScheduler ExtendIntermediateSigmas FlipSigmas KSamplerSelect KarrasScheduler LaplaceScheduler "
        "ManualSigmas PolyexponentialScheduler RandomNoise SDTurboScheduler SamplerCustom SamplerCustomAdvanced "
        "SamplerDPMAdaptative SamplerDPMPP_2M_SDE SamplerDPMPP_2S_Ancestral SamplerDPMPP_3M_SDE SamplerDPMPP_SDE "
        "SamplerER_SDE SamplerEulerAncestral SamplerEulerAncestralCFGPP SamplerLMS SamplerSASolver "
        "SamplingPercentToSigma SetFirstSigma SplitSigmas SplitSigmasDenoise VPScheduler"
    ),
    "nodes_differential_diffusion": "DifferentialDiffusion",
    "nodes_easycache": "EasyCacheNode LazyCacheNode",
    "nodes_eps": "EpsilonScaling",
    "nodes_freelunch": "FreeU FreeU_V2",
    "nodes_fresca": "FreSca",
    "nodes_gits": "GITSScheduler",
    "nodes_hypernetwork": "HypernetworkLoader",
    "nodes_hypertile": "HyperTile",
    "nodes_images": (
        "GetImageSize ImageAddNoise ImageCrop ImageFlip ImageFromBatch ImageRotate ImageScaleToMaxDimension "
        "ImageStitch RepeatImageBatch ResizeAndPadImage SaveAnimatedPNG SaveAnimatedWEBP"
    ),
    "nodes_ip2p": "InstructPixToPixConditioning",
    "nodes_latent": (
        "LatentAdd LatentApplyOperation LatentApplyOperationCFG LatentBatch LatentBatchSeedBehavior LatentConcat "
        "LatentCut LatentInterpolate LatentMultiply LatentOperationSharpen LatentOperationTonemapReinhard "
        "LatentSubtract"
    ),
    "nodes_mahiro": "Mahiro",
    "nodes_mask": (
        "CropMask FeatherMask GrowMask ImageColorToMask ImageCompositeMasked ImageToMask InvertMask "
        "LatentCompositeMasked MaskComposite MaskPreview MaskToImage SolidMask ThresholdMask"
    ),
    "nodes_model_advanced": (
        "ModelComputeDtype ModelSamplingContinuousEDM ModelSamplingContinuousV ModelSamplingDiscrete RescaleCFG"
    ),
    "nodes_model_downscale": "PatchModelAddDownscale",
    "nodes_model_merging": (
        "CLIPAdd CLIPMergeSimple CLIPSave CLIPSubtract CheckpointSave ModelAdd ModelMergeBlocks ModelMergeSimple "
        "ModelSave ModelSubtract VAESave"
    ),
    "nodes_model_merging_model_specific": "ModelMergeSD1 ModelMergeSD2 ModelMergeSDXL",
    "nodes_morphology": "ImageRGBToYUV ImageYUVToRGB Morphology",
    "nodes_optimalsteps": "OptimalStepsScheduler",
    "nodes_pag": "PerturbedAttentionGuidance",
    "nodes_perpneg": "PerpNeg PerpNegGuider",
    "nodes_post_processing": "Blend Blur ImageScaleToTotalPixels Quantize Sharpen",
    "nodes_preview_any": "PreviewAny",
    "nodes_primitive": "Boolean Float Int String StringMultiline",
    "nodes_rebatch": "ImageRebatch LatentRebatch",
    "nodes_sag": "SelfAttentionGuidance",
    "nodes_sdupscale": "SD_4XUpscale_Conditioning",
    "nodes_string": (
        "CaseConverter RegexExtract RegexMatch RegexReplace StringCompare StringConcatenate StringContains "
        "StringLength StringReplace StringSubstring StringTrim"
    ),
    "nodes_tcfg": "TCFG",
    "nodes_tomesd": "TomePatchModel",
    "nodes_torch_compile": "TorchCompileModel",
    "nodes_train": "LoraModelLoader LossGraphNode SaveLoRA TrainLoraNode",
    "nodes_upscale_model": "ImageUpscaleWithModel UpscaleModelLoader",
    "nodes_video_model": "ImageOnlyCheckpointLoader",
}
"""Module → its node classes."""

OTHER_NAMES: Final[Mapping[str, Mapping[str, str]]] = {
    "nodes_easycache": {"EasyCacheNode": "EasyCache", "LazyCacheNode": "LazyCache"},
    "nodes_eps": {"EpsilonScaling": "Epsilon Scaling"},
    "nodes_model_merging": {
        "CLIPAdd": "CLIPMergeAdd",
        "CLIPSubtract": "CLIPMergeSubtract",
        "ModelAdd": "ModelMergeAdd",
        "ModelSubtract": "ModelMergeSubtract",
    },
    "nodes_post_processing": {
        "Blend": "ImageBlend",
        "Blur": "ImageBlur",
        "Quantize": "ImageQuantize",
        "Sharpen": "ImageSharpen",
    },
    "nodes_primitive": {
        "Boolean": "PrimitiveBoolean",
        "Float": "PrimitiveFloat",
        "Int": "PrimitiveInt",
        "String": "PrimitiveString",
        "StringMultiline": "PrimitiveStringMultiline",
    },
    "nodes_rebatch": {"ImageRebatch": "RebatchImages", "LatentRebatch": "RebatchLatents"},
    "nodes_train": {"SaveLoRA": "SaveLoRANode"},
}
"""Module → class → node, where the node has another name than its class."""


def found_in(module: str, name: str) -> Any:
    """Return ``name`` of ``comfy_extras.module``: a node class, a stand-in, or None if ComfyUI has no such name."""
    from nodes.compat import core_nodes

    if name in CLASSES.get(module, "").split():
        node = _node_of(module, name)
        own = core_nodes.provided(node) if node in core_nodes.own_names() else None
        return own if own is not None else stand_in(f"{PACKAGE}.{module}.{name}", NO_SUCH_NODE)
    if name in core_nodes.own_names():
        return core_nodes.provided(name)
    reason = reason_for(f"{PACKAGE}.{module}", name)
    return None if reason is None else stand_in(f"{PACKAGE}.{module}.{name}", reason)


def listed() -> dict[str, dict[str, str]]:
    """Module → class → node, of every module of the table."""
    return {module: {name: _node_of(module, name) for name in classes.split()} for module, classes in CLASSES.items()}


def _node_of(module: str, name: str) -> str:
    return OTHER_NAMES.get(module, {}).get(name, name)
