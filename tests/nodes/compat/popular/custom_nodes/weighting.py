"""A pack like those that weight a prompt's words in their own way."""

import torch
from comfy import model_management
from comfy.sd1_clip import SD1ClipModel, escape_important, gen_empty_tokens, token_weights, unescape_important
from comfy.sdxl_clip import SDXLClipG, SDXLClipModel, SDXLRefinerClipModel


class EncodeWordByWord:
    """Adds, for each piece of text, its weight times the difference that it makes to the whole."""

    CATEGORY, FUNCTION, RETURN_TYPES = "popular/weights", "encode", ("CONDITIONING",)

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"clip": ("CLIP",), "text": ("STRING", {"multiline": True})}}

    def encode(self, clip, text):
        parts = [(unescape_important(part), weight) for part, weight in token_weights(escape_important(text), 1.0)]
        assert "".join(part for part, _ in parts).strip()
        chunks = clip.tokenize(text, return_word_ids=True)
        if isinstance(clip.cond_stage_model, (SDXLClipModel, SDXLRefinerClipModel, SDXLClipG)):
            raise TypeError("not for SDXL")
        assert isinstance(clip.cond_stage_model, SD1ClipModel)
        if clip.layer_idx is not None:
            clip.cond_stage_model.set_clip_options({"layer": clip.layer_idx})
        model_management.load_model_gpu(clip.patcher)
        clip.patch_model()
        encoder = clip.cond_stage_model.clip_l
        whole, pooled = encoder.encode_token_weights([[(t, 1.0) for t, *_ in chunk] for chunk in chunks["l"]])
        result = whole.clone()
        pad = encoder.special_tokens["pad"]
        weights = {run: weight for chunk in chunks["l"] for _, weight, run in chunk if run}
        for run, weight in weights.items():
            if weight != 1.0:
                masked = [[(pad if at == run else t, 1.0) for t, _, at in chunk] for chunk in chunks["l"]]
                without, _ = encoder.encode_token_weights(masked)
                result += (weight - 1.0) * (whole - without)
        clip.unpatch_model()
        empty = gen_empty_tokens(encoder.special_tokens, 77)
        assert len(empty) == 77 and torch.isfinite(result).all()
        return ([[result, {"pooled_output": pooled}]],)


NODE_CLASS_MAPPINGS = {"PopularWeights": EncodeWordByWord}
