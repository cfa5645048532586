"""Help texts of the nodes for pictures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

FIELDS: Final[Mapping[str, Mapping[str, str]]] = {
    "LoadImageOutput": {
        "image": "The file in the output folder.",
    },
    "SaveImage": {
        "images": "The pictures to save.",
    },
    "PreviewImage": {
        "images": "The pictures to show.",
    },
    "SweepGrid": {
        "grid": "The axes, their labels, and the files of each combination, as JSON. A sweep writes it.",
        "workflow": "The workflow before the sweep in the API format, which the grid's file will carry.",
    },
    "SaveAnimatedPNG": {
        "images": "The frames, in order.",
        "compress_level": "How hard to compress, 0 to 9. The picture is the same; 9 is slowest and smallest.",
    },
    "SaveAnimatedWEBP": {
        "images": "The frames, in order.",
        "lossless": "Whether the frames are kept exactly, in a larger file.",
        "quality": "Quality of a lossy file, 0 to 100; larger makes larger files.",
        "method": "How hard to search for a smaller file.",
    },
    "SaveImageWebsocket": {
        "images": "The pictures to send.",
    },
    "EmptyImage": {
        "batch_size": "Number of pictures.",
        "color": "The colour.",
    },
    "ImagePadForOutpaint": {
        "left": "Pixels to add on the left.",
        "top": "Pixels to add at the top.",
        "right": "Pixels to add on the right.",
        "bottom": "Pixels to add at the bottom.",
        "feathering": "Pixels over which the new area fades into the picture.",
    },
    "ImageCompositeMasked": {
        "mask": "Where the source covers the destination: white. Without a mask, everywhere.",
    },
    "ImageScale": {
        "width": "New width in pixels. 0 keeps the aspect ratio.",
        "height": "New height in pixels. 0 keeps the aspect ratio.",
    },
    "ImageScaleToMaxDimension": {
        "largest_size": "The longer side in pixels.",
    },
    "ImageScaleToTotalPixels": {
        "resolution_steps": "Sides are rounded to multiples of this number of pixels.",
    },
    "ImageStitch": {
        "direction": "Where the second picture goes.",
        "match_image_size": "Whether the second picture is scaled to the first's side.",
        "spacing_width": "Pixels between the pictures.",
        "spacing_color": "Colour of the space between the pictures.",
    },
    "RepeatImageBatch": {
        "amount": "Number of repetitions.",
    },
    "RebatchImages": {
        "images": "The batches to regroup.",
    },
    "ResizeAndPadImage": {
        "target_width": "Width in pixels of the result.",
        "target_height": "Height in pixels of the result.",
        "padding_color": "Colour of the padding.",
        "interpolation": (
            "How values between pixels are computed: nearest-exact is hard-edged, lanczos and bicubic are sharp, "
            "area suits reducing."
        ),
    },
    "ResizeImageMaskNode": {
        "resize_type.width": "New width in pixels.",
        "resize_type.height": "New height in pixels.",
        "input": "The pictures or masks to resize.",
        "resize_type": "The rule for the new size.",
        "resize_type.longer_size": "The longer side in pixels.",
        "resize_type.shorter_size": "The shorter side in pixels.",
        "resize_type.match": "The picture or mask whose size is used.",
        "scale_method": (
            "How values between pixels are computed: nearest-exact is hard-edged, lanczos and bicubic are sharp, "
            "area suits reducing."
        ),
        "resize_type.crop": "Whether to crop the middle to the new aspect ratio instead of distorting the picture.",
    },
    "BatchImagesNode": {
        "images.image": "One more picture. A free socket appears when all are linked.",
        "images": "The pictures to join, in this order.",
    },
    "BatchMasksNode": {
        "masks.mask": "One more mask. A free socket appears when all are linked.",
        "masks": "The masks to join, in this order.",
    },
    "BatchLatentsNode": {
        "latents.latent": "One more latent. A free socket appears when all are linked.",
        "latents": "The latents to join, in this order.",
    },
    "BatchImagesMasksLatentsNode": {
        "inputs.input": "One more picture, mask or latent. A free socket appears when all are linked.",
        "inputs": "What to join, in this order; all of one kind.",
    },
    "ImageCompare": {
        "image_a": "The picture on the left of the slider.",
        "image_b": "The picture on the right of the slider.",
    },
    "SaveImageAdvanced": {
        "images": "The pictures to save.",
        "format.bit_depth": "Bits for each channel. 16 or 32 keep finer differences, in larger files.",
        "format.input_color_space": "Colour space of the pictures that come in.",
        "format": "The kind of file.",
        "format.crf": "Quality: smaller numbers are better and make larger files; 0 is lossless.",
        "format.save_mode": "One file for each picture, or one animation of all.",
        "format.save_mode.loop_count": "How often the animation plays; 0 for endlessly.",
    },
    "ImageCropV2": {
        "crop_region": "The rectangle to keep, in pixels.",
    },
    "SplitImageToTileList": {
        "tile_width": "Width of a tile in pixels.",
        "tile_height": "Height of a tile in pixels.",
    },
    "ImageMergeTileList": {
        "image_list": "The tiles, row by row.",
        "final_width": "Width in pixels of the joined picture.",
        "final_height": "Height in pixels of the joined picture.",
    },
}
