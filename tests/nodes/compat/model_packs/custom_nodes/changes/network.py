"""Patches of inner parts of the network."""

import comfy.utils
import torch
import torch.nn.functional as F


class Changing:
    CATEGORY, FUNCTION, RETURN_TYPES = "testing", "patch", ("MODEL",)


class PackFreeU(Changing):
    """FreeU, arXiv:2309.11497: stronger backbone features, and less of the low frequencies of skip connections."""

    @classmethod
    def INPUT_TYPES(cls):
        factor = ("FLOAT", {"default": 1.0, "min": 0.0, "max": 10.0})
        return {"required": {"model": ("MODEL",), "b": factor, "s": factor}}

    def patch(self, model, b, s):
        channels = model.model.model_config.unet_config["model_channels"]

        def before_output(h, hsp, transformer_options):
            if h.shape[1] == channels * 2:
                half = h.shape[1] // 2
                h = torch.cat([h[:, :half] * b, h[:, half:]], dim=1)
                spectrum = torch.fft.fftshift(torch.fft.fft2(hsp.float()), dim=(-2, -1))
                height, width = hsp.shape[-2:]
                mask = torch.ones(height, width, device=hsp.device)
                mask[height // 2 - 1 : height // 2 + 1, width // 2 - 1 : width // 2 + 1] = s
                hsp = torch.fft.ifft2(torch.fft.ifftshift(spectrum * mask, dim=(-2, -1))).real.to(hsp.dtype)
            return h, hsp

        m = model.clone()
        m.set_model_output_block_patch(before_output)
        return (m,)


class Tiled(Changing):
    """HyperTile: self-attention within tiles of the feature map."""

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"model": ("MODEL",), "tiles": ("INT", {"default": 1, "min": 1, "max": 8})}}

    def patch(self, model, tiles):
        waiting = []

        def split(q, k, v, extra_options):
            height, width = extra_options["original_shape"][-2:]
            shrink = round((height * width / q.shape[1]) ** 0.5)
            rows, columns = height // shrink, width // shrink
            if rows * columns != q.shape[1] or columns % tiles:
                waiting.append(None)
                return q, k, v
            waiting.append((rows, columns))

            def into_tiles(tokens):
                return tokens.unflatten(1, (rows, tiles, columns // tiles)).movedim(2, 1).flatten(0, 1).flatten(1, 2)

            return into_tiles(q), into_tiles(k), into_tiles(v)

        def join(tokens, extra_options):
            shape = waiting.pop()
            if shape is None:
                return tokens
            rows, columns = shape
            return tokens.unflatten(1, (rows, columns // tiles)).unflatten(0, (-1, tiles)).movedim(1, 2).flatten(1, 3)

        m = model.clone()
        m.set_model_attn1_patch(split)
        m.set_model_attn1_output_patch(join)
        return (m,)


class MergedTokens(Changing):
    """Token merging (arXiv:2303.17604) in its simplest form: every n-th position represents its neighbours."""

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"model": ("MODEL",), "every": ("INT", {"default": 1, "min": 1, "max": 8})}}

    def patch(self, model, every):
        lengths = []

        def merge(q, k, v, extra_options):
            lengths.append(q.shape[1])
            q = q[:, ::every]
            return q, q, q

        def unmerge(tokens, extra_options):
            return tokens.repeat_interleave(every, dim=1)[:, : lengths.pop()]

        m = model.clone()
        m.set_model_attn1_patch(merge)
        m.set_model_attn1_output_patch(unmerge)
        return (m,)


class DeepShrink(Changing):
    """The feature map made smaller on its way down while the picture's layout is found (Kohya's deep shrink)."""

    @classmethod
    def INPUT_TYPES(cls):
        until = ("FLOAT", {"default": 0.5, "min": 0.0, "max": 1.0})
        return {"required": {"model": ("MODEL",), "until": until}}

    def patch(self, model, until):
        last = model.get_model_object("model_sampling").percent_to_sigma(until)

        def shrink(h, transformer_options):
            if transformer_options["block"] == ("input", 2) and transformer_options["sigmas"][0].item() >= last:
                h = comfy.utils.common_upscale(h, h.shape[-1] // 2, h.shape[-2] // 2, "bilinear", "disabled")
            return h

        def enlarge(h, hsp, transformer_options):
            if h.shape[-2:] != hsp.shape[-2:]:
                h = F.interpolate(h, size=hsp.shape[-2:], mode="bilinear")
            return h, hsp

        m = model.clone()
        m.set_model_input_block_patch_after_skip(shrink)
        m.set_model_output_block_patch(enlarge)
        return (m,)
