"""``comfy_api.latest.ui``: what a node shows."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Any

from graph.results import SavedFile
from nodes.compat.comfy_api.latest._io_options import FolderType
from nodes.compat.running import running_node


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
        """Return the ``ui`` of class-style nodes."""
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
        from nodes.pictures.saving import save_png

        saved = save_png(
            running_node("pictures are saved"),
            images,
            prefix=filename_prefix,
            folder=str(folder_type),
            compress_level=compress_level,
            **_hidden_of(cls),
        )
        return list(map(_result, saved))

    @staticmethod
    def save_animated_png(
        images: Any,
        filename_prefix: str,
        folder_type: FolderType | str = FolderType.output,
        cls: Any = None,
        fps: float = 6.0,
        compress_level: int = 4,
    ) -> SavedResult:
        """Save ``images`` as one animated PNG in the output folder."""
        from nodes.image.animation import save_apng

        _only_output(folder_type)
        options = {"fps": fps, "compress_level": compress_level, **_hidden_of(cls)}
        return _result(save_apng(running_node("pictures are saved"), images, prefix=filename_prefix, **options)[0])

    @staticmethod
    def save_animated_webp(
        images: Any,
        filename_prefix: str,
        folder_type: FolderType | str = FolderType.output,
        cls: Any = None,
        fps: float = 6.0,
        lossless: bool = True,
        quality: int = 80,
        method: int = 4,
    ) -> SavedResult:
        """Save ``images`` as one animated WebP in the output folder."""
        from nodes.image.animation import save_webp

        _only_output(folder_type)
        options: dict[str, Any] = {"fps": fps, "lossless": lossless, "quality": quality, "method": method}
        saved = save_webp(
            running_node("pictures are saved"), images, prefix=filename_prefix, **options, **_hidden_of(cls)
        )
        return _result(saved[0])

    @staticmethod
    def get_save_animated_png_ui(
        images: Any, filename_prefix: str, cls: Any = None, fps: float = 6.0, compress_level: int = 4
    ) -> SavedImages:
        """Save with :meth:`save_animated_png` and return what to show."""
        saved = ImageSaveHelper.save_animated_png(
            images, filename_prefix, cls=cls, fps=fps, compress_level=compress_level
        )
        return SavedImages([saved], is_animated=len(images) > 1)

    @staticmethod
    def get_save_animated_webp_ui(images: Any, filename_prefix: str, cls: Any = None, **options: Any) -> SavedImages:
        """Save with :meth:`save_animated_webp` and return what to show."""
        saved = ImageSaveHelper.save_animated_webp(images, filename_prefix, cls=cls, **options)
        return SavedImages([saved], is_animated=len(images) > 1)

    @staticmethod
    def get_save_images_ui(images: Any, filename_prefix: str, cls: Any = None, compress_level: int = 4) -> SavedImages:
        """Save to the output folder and return what to show."""
        return SavedImages(ImageSaveHelper.save_images(images, filename_prefix, FolderType.output, cls, compress_level))


class PreviewImage:
    """Pictures to look at, in the temp folder."""

    def __init__(self, image: Any, animated: bool = False, cls: Any = None, **_: Any):
        self.animated = animated
        self.values = ImageSaveHelper.save_images(
            image, f"preview_{secrets.token_hex(4)}", FolderType.temp, cls, compress_level=1
        )

    def as_dict(self) -> dict[str, Any]:
        """Return the ``ui`` of class-style nodes."""
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
        """Return the ``ui`` of class-style nodes."""
        return {"text": (self.value,)}


def _result(file: SavedFile) -> SavedResult:
    return SavedResult(file.filename, file.subfolder, file.folder)


def _hidden_of(cls: Any) -> dict[str, Any]:
    """Return the data written into pictures."""
    hidden = getattr(cls, "hidden", None)
    return {name: getattr(hidden, name, None) for name in ("prompt", "extra_pnginfo")}


def _only_output(folder: FolderType | str) -> None:
    if str(folder) != "output":
        raise ValueError(f"animations are saved to the output folder only, not to {folder!s}")
