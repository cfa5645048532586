"""Changes of models, written like packs do: patches, guidance, samplings, weights, samplers and guiders."""

from .guidance import PerpendicularNegative, PerturbedAttention, RescaledGuidance
from .network import DeepShrink, MergedTokens, PackFreeU, Tiled
from .sampling import OwnGuider, OwnSampler, Prediction, Samplers
from .weights import LowRank, Merged


class Compare:
    """Shows the distance of two latents and the deviation of the first one's values."""

    CATEGORY, FUNCTION, RETURN_TYPES, OUTPUT_NODE = "testing", "run", (), True

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"a": ("LATENT",), "b": ("LATENT",)}}

    def run(self, a, b):
        difference = (a["samples"] - b["samples"]).abs().max().item()
        return {
            "ui": {"difference": [difference], "deviations": [a["samples"].std().item(), b["samples"].std().item()]}
        }


NODE_CLASS_MAPPINGS = {
    node.__name__: node
    for node in (
        Compare,
        DeepShrink,
        PackFreeU,
        LowRank,
        Merged,
        MergedTokens,
        OwnGuider,
        OwnSampler,
        PerpendicularNegative,
        PerturbedAttention,
        Prediction,
        RescaledGuidance,
        Samplers,
        Tiled,
    )
}
