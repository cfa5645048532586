"""Pictures and masks: loading, resizing, cropping, saving with the workflow."""

import hashlib
import json
import os

import comfy.utils
import folder_paths
import node_helpers
import numpy as np
import torch
from comfy import model_management
from comfy.cli_args import args
from comfy_extras.nodes_mask import InvertMask
from PIL import Image, ImageOps, ImageSequence
from PIL.PngImagePlugin import PngInfo

from nodes import MAX_RESOLUTION, PreviewImage, SaveImage


def tensor2pil(image):
    return Image.fromarray(np.clip(255.0 * image.cpu().numpy().squeeze(), 0, 255).astype(np.uint8))


def pil2tensor(image):
    return torch.from_numpy(np.array(image).astype(np.float32) / 255.0).unsqueeze(0)


class LoadPicture:
    @classmethod
    def INPUT_TYPES(s):
        input_dir = folder_paths.get_input_directory()
        files = [f for f in os.listdir(input_dir) if os.path.isfile(os.path.join(input_dir, f))]
        files = folder_paths.filter_files_content_types(files, ["image"])
        return {"required": {"image": (sorted(files), {"image_upload": True})}}

    CATEGORY = "known/image"
    RETURN_TYPES = ("IMAGE", "MASK")
    FUNCTION = "load"

    def load(self, image):
        path = folder_paths.get_annotated_filepath(image)
        img = node_helpers.pillow(Image.open, path)
        frames = [ImageOps.exif_transpose(frame).convert("RGB") for frame in ImageSequence.Iterator(img)]
        pictures = torch.cat([pil2tensor(frame) for frame in frames])
        return (pictures, torch.zeros(pictures.shape[:3], device="cpu"))

    @classmethod
    def IS_CHANGED(s, image):
        m = hashlib.sha256()
        with open(folder_paths.get_annotated_filepath(image), "rb") as f:
            m.update(f.read())
        return m.digest().hex()

    @classmethod
    def VALIDATE_INPUTS(s, image):
        return True if folder_paths.exists_annotated_filepath(image) else f"Invalid image file: {image}"


class ResizePicture:
    upscale_methods = ("nearest-exact", "bilinear", "area", "bicubic", "lanczos")

    @classmethod
    def INPUT_TYPES(s):
        side = {"default": 512, "min": 0, "max": MAX_RESOLUTION, "step": 1}
        return {
            "required": {
                "image": ("IMAGE",),
                "width": ("INT", side),
                "height": ("INT", side),
                "upscale_method": (s.upscale_methods,),
                "keep_proportion": ("BOOLEAN", {"default": False}),
            },
            "optional": {"get_image_size": ("IMAGE",), "crop": (["disabled", "center"],)},
        }

    RETURN_TYPES = ("IMAGE", "INT", "INT")
    RETURN_NAMES = ("IMAGE", "width", "height")
    FUNCTION = "resize"
    CATEGORY = "known/image"

    def resize(self, image, width, height, keep_proportion, upscale_method, crop="disabled", get_image_size=None):
        _, H, W, _ = image.shape
        if get_image_size is not None:
            _, height, width, _ = get_image_size.shape
        if keep_proportion:
            ratio = min(width / W, height / H)
            width, height = round(W * ratio), round(H * ratio)
        image = image.movedim(-1, 1)
        image = comfy.utils.common_upscale(image, width, height, upscale_method, crop)
        image = image.movedim(1, -1)
        return (image, image.shape[2], image.shape[1])


class GrowMask:
    @classmethod
    def INPUT_TYPES(cls):
        return {
            "required": {
                "mask": ("MASK",),
                "expand": ("INT", {"default": 1, "min": -99, "max": 99}),
                "flip_input": ("BOOLEAN", {"default": False}),
            }
        }

    RETURN_TYPES = ("MASK", "MASK")
    RETURN_NAMES = ("mask", "mask_inverted")
    FUNCTION = "expand_mask"
    CATEGORY = "known/mask"

    def expand_mask(self, mask, expand, flip_input):
        device = model_management.get_torch_device()
        mask = (1.0 - mask if flip_input else mask).to(device)
        growing = mask.reshape((-1, 1, mask.shape[-2], mask.shape[-1]))
        pbar = comfy.utils.ProgressBar(abs(expand))
        for _ in range(abs(expand)):
            growing = torch.nn.functional.max_pool2d(growing, 3, stride=1, padding=1)
            pbar.update(1)
        mask = growing.squeeze(1).to(model_management.intermediate_device())
        model_management.soft_empty_cache()
        return (mask, InvertMask().invert(mask)[0])


class SaveWithMetadata:
    def __init__(self):
        self.output_dir = folder_paths.get_output_directory()
        self.type = "output"
        self.prefix_append = ""

    @classmethod
    def INPUT_TYPES(s):
        return {
            "required": {"images": ("IMAGE",), "filename_prefix": ("STRING", {"default": "known/%width%"})},
            "hidden": {"prompt": "PROMPT", "extra_pnginfo": "EXTRA_PNGINFO"},
        }

    RETURN_TYPES = ()
    FUNCTION = "save_images"
    OUTPUT_NODE = True
    CATEGORY = "known/image"

    def save_images(self, images, filename_prefix="ComfyUI", prompt=None, extra_pnginfo=None):
        filename_prefix += self.prefix_append
        full_output_folder, filename, counter, subfolder, filename_prefix = folder_paths.get_save_image_path(
            filename_prefix, self.output_dir, images[0].shape[1], images[0].shape[0]
        )
        results = []
        for image in images:
            metadata = None
            if not args.disable_metadata:
                metadata = PngInfo()
                metadata.add_text("prompt", json.dumps(prompt))
                for name in extra_pnginfo or {}:
                    metadata.add_text(name, json.dumps(extra_pnginfo[name]))
            file = f"{filename}_{counter:05}_.png"
            tensor2pil(image).save(os.path.join(full_output_folder, file), pnginfo=metadata, compress_level=4)
            results.append({"filename": file, "subfolder": subfolder, "type": self.type})
            counter += 1
        return {"ui": {"images": results}}


class Compare(PreviewImage):
    @classmethod
    def INPUT_TYPES(s):
        return {
            "required": {},
            "optional": {"image_a": ("IMAGE",), "image_b": ("IMAGE",)},
            "hidden": {"prompt": "PROMPT", "extra_pnginfo": "EXTRA_PNGINFO"},
        }

    FUNCTION = "compare_images"
    CATEGORY = "known/image"

    def compare_images(self, image_a=None, image_b=None, prompt=None, extra_pnginfo=None):
        result = {"ui": {"a_images": [], "b_images": []}}
        for name, image in (("a", image_a), ("b", image_b)):
            if image is not None and len(image) > 0:
                saved = self.save_images(image, f"known.compare.{name}", prompt, extra_pnginfo)
                result["ui"][f"{name}_images"] = saved["ui"]["images"]
        return result


class PassAndSave(SaveImage):
    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "go"

    def go(self, images, filename_prefix="pass", prompt=None, extra_pnginfo=None):
        return {**self.save_images(images, filename_prefix, prompt, extra_pnginfo), "result": (images,)}


NODE_CLASS_MAPPINGS = {
    f"Known{c.__name__}": c for c in (LoadPicture, ResizePicture, GrowMask, SaveWithMetadata, Compare, PassAndSave)
}
