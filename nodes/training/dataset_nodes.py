"""The nodes that read pictures and captions from folders and encode them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from graph.context import Context
from graph.folders import Folders, relative_name
from graph.node import Files, Hint, Range, node
from nodes.training.runs import run_folder
from nodes.training.sockets import DatasetSocket, EncodedDatasetSocket, Name, Side
from nodes.types import Clip, Conditioning, Image, Vae

ResizeMethod = Literal["None", "Stretch", "Crop", "Pad"]
InputFolder = Annotated[str, Files("input folders")]


class PicturesAndTexts(NamedTuple):
    """Pictures, and the conditioning of each one's text."""

    IMAGE: Image
    CONDITIONING: Conditioning


def _dataset_state(*, folder: str, folders: Folders) -> str:
    from nodes.training.dataset import read_dataset

    return read_dataset(_input_folder(folders, folder)).fingerprint


@node("LoadCaptionedPictures", display_name="Load Captioned Pictures", category="training", fingerprint=_dataset_state)
def load_captioned_pictures(
    *, folder: Annotated[str, Hint(input_folder=True)] = "dataset", context: Context
) -> DatasetSocket:
    """List the pictures of a folder in the input folder, with captions from text files or metadata.jsonl.

    Raises DatasetError naming the file and the wrong line.
    """
    from nodes.training.dataset import read_dataset

    return read_dataset(_input_folder(context.folders, folder))


@node("CaptionPictures", display_name="Caption Pictures", category="training")
def caption_pictures(
    *,
    images: Image,
    captions: Annotated[str, Hint(multiline=True)] = "",
    name: Name = "pictures",
    context: Context,
) -> DatasetSocket:
    """Make a dataset of pictures and their captions.

    The pictures are written to the run's folder. Raises DatasetError for another number of captions, OutputFileError.
    """
    from nodes.training.captioned_batch import write_captioned

    lines = [line.strip() for line in captions.splitlines() if line.strip()]
    return write_captioned(run_folder(context.folders, name) / "pictures", images, lines)


@node("EncodeDataset", display_name="Encode Dataset", category="training")
def encode_dataset(
    *,
    dataset: DatasetSocket,
    vae: Vae,
    name: Name = "model",
    width: Side = 512,
    height: Side = 512,
    limit: Annotated[int, Range(0, 10_000_000), Hint(tooltip="Maximum number of pictures; 0 for all.")] = 0,
    context: Context,
) -> EncodedDatasetSocket:
    """Encode every picture of a dataset once, cropped to one size, and store the latents in the run's folder.

    Raises DatasetError for a picture that cannot be read.
    """
    from nodes.training import latents
    from nodes.training.networks import weights_hash
    from nodes.vae.network import autoencoder

    return latents.encode_dataset(
        dataset,
        autoencoder(vae),
        weights_hash(vae),
        run_folder(context.folders, name),
        width,
        height,
        limit,
        context.progress,
    )


def _folder_state(*, folder: str, folders: Folders) -> Any:
    from nodes.training.dataset import pictures_in

    state = [path.stat() for path in pictures_in(_input_folder(folders, folder))]
    return [[each.st_size, each.st_mtime_ns] for each in state]


@node(
    "LoadImageSetFromFolderNode",
    display_name="Load Image Dataset from Folder",
    category="loaders",
    fingerprint=_folder_state,
    experimental=True,
)
def load_image_set_from_folder(
    *, folder: InputFolder, resize_method: ResizeMethod | None = "None", context: Context
) -> Image:
    """Load all pictures of a folder in the input folder as one batch, in the order of their names.

    ``resize_method`` resizes them to the size of the first. Raises DatasetError if sizes differ and it is None.
    """
    from nodes.training.dataset import pictures_in
    from nodes.training.pictures import load_pictures

    return load_pictures(pictures_in(_input_folder(context.folders, folder)), resize_method or "None")


def _captioned_folder_state(*, folder: str, folders: Folders) -> str:
    return _dataset_state(folder=folder, folders=folders)


@node(
    "LoadImageTextSetFromFolderNode",
    display_name="Load Image and Text Dataset from Folder",
    category="loaders",
    fingerprint=_captioned_folder_state,
    experimental=True,
)
def load_image_text_set_from_folder(
    *,
    folder: InputFolder,
    clip: Clip,
    resize_method: ResizeMethod | None = "None",
    width: Annotated[int, Range(-1, 10_000, 1)] | None = -1,
    height: Annotated[int, Range(-1, 10_000, 1)] | None = -1,
    context: Context,
) -> PicturesAndTexts:
    """Load all pictures of a folder in the input folder, and encode the text file beside each.

    A width or height of -1 means the first picture's. Raises DatasetError for a file that cannot be read.
    """
    from nodes.training.captions import encoded_captions
    from nodes.training.dataset import read_dataset
    from nodes.training.pictures import load_pictures

    examples = read_dataset(_input_folder(context.folders, folder)).examples
    pictures = load_pictures(
        [example.picture for example in examples],
        resize_method or "None",
        width if width and width > 0 else None,
        height if height and height > 0 else None,
    )
    return PicturesAndTexts(pictures, encoded_captions(clip, examples))


def _input_folder(folders: Folders, name: str) -> Path:
    return folders.place("input") / relative_name(name, "input")
