"""``comfy_api.latest.ui``: what a node shows."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Any

from graph.context import Context, current
from nodes.compat.comfy_api.latest._io import FolderType


class SavedResult(dict[str, str]):
    """A file that was saved."""

    def __init__(self, filename: str, subfolder: str, type: FolderType | str):
        super().__init__(filename=filename, subfolder=subfolder, type=str(type))

    @property
    def filename(self) -> str:
        return self["filename"]

    @property
    def subfolder(self) -> str:
        return self["subfolder"]

    @property
    def type(self) -> str:
        return self["type"]


class SavedImages:
    """Pictures that were saved."""

    def __init__(self, results: Sequence[SavedResult], is_animated: bool = False):
        self.results = list(results)
        self.is_animated = is_animated

    def as_dict(self) -> dict[str, Any]:
        """The ``ui`` of class-style nodes."""
        animated = {"animated": (True,)} if self.is_animated else {}
        return {"images": [dict(result) for result in self.results], **animated}


class ImageSaveHelper:
    """Saves pictures with their workflow in them."""

    @staticmethod
    def save_images(
        images: Any,
        filename_prefix: str,
        folder_type: FolderType | str = FolderType.output,
        cls: Any = None,
        compress_level: int = 4,
    ) -> list[SavedResult]:
        """Save each picture of ``images`` [B, H, W, C] as a PNG file. ``cls`` is the node's class."""
        from nodes.image.saving import save_png

        hidden = getattr(cls, "hidden", None)
        saved = save_png(
            _context(),
            images,
            prefix=filename_prefix,
            folder=str(folder_type),
            compress_level=compress_level,
            prompt=getattr(hidden, "prompt", None),
            extra_pnginfo=getattr(hidden, "extra_pnginfo", None),
        )
        return [SavedResult(file.filename, file.subfolder, file.folder) for file in saved]

    @staticmethod
    def get_save_images_ui(images: Any, filename_prefix: str, cls: Any = None, compress_level: int = 4) -> SavedImages:
        """Save to the output folder; what to show."""
        return SavedImages(ImageSaveHelper.save_images(images, filename_prefix, FolderType.output, cls, compress_level))


class PreviewImage:
    """Pictures to look at, in the temp folder."""

    def __init__(self, image: Any, animated: bool = False, cls: Any = None, **_: Any):
        self.animated = animated
        self.values = ImageSaveHelper.save_images(
            image, f"preview_{secrets.token_hex(4)}", FolderType.temp, cls, compress_level=1
        )

    def as_dict(self) -> dict[str, Any]:
        """The ``ui`` of class-style nodes."""
        return {"images": [dict(value) for value in self.values], "animated": (self.animated,)}


class PreviewMask(PreviewImage):
    """A mask to look at."""

    def __init__(self, mask: Any, animated: bool = False, cls: Any = None, **_: Any):
        picture = mask.reshape(-1, 1, *mask.shape[-2:]).movedim(1, -1).expand(-1, -1, -1, 3)
        super().__init__(picture, animated, cls)


class PreviewText:
    """A text to look at."""

    def __init__(self, value: str, **_: Any):
        self.value = value

    def as_dict(self) -> dict[str, Any]:
        """The ``ui`` of class-style nodes."""
        return {"text": (self.value,)}


def _context() -> Context:
    context = current()
    if context is None:
        raise RuntimeError("pictures are saved only while a node is running")
    return context
