"""Saves models, text encoders and VAEs as safetensors files, in the layouts in which models are published.

A tensor that is fp8 in memory is written in fp8. Any other that no patch changes is written in its file's precision,
one that patches change in the wider of that and the precision in which it would be computed. So a saved model gives the
same results, to the bit, as the one that was saved.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, BinaryIO, Final

import torch
from torch import Tensor

from graph.context import Context, warn
from graph.errors import SumiError
from graph.results import SavedFile
from nodes import device
from nodes.models.checkpoint import Checkpoint, dtype_named
from nodes.models.contents import VAE_PREFIXES
from nodes.models.file_sampling import markers_of
from nodes.models.handle import Clip, Model, TextEncoder, Vae
from nodes.models.open_files import close, opened
from nodes.models.openclip_names import packed
from nodes.models.safetensors_writer import Entry, write_safetensors
from nodes.models.storage import Storage, is_fp8, memory_dtype, rounded
from nodes.models.stored_network import StoredNetwork
from nodes.models.text_config import expected_shapes as text_shapes
from nodes.models.tiny_files import scale_markers
from nodes.models.unet_config import expected_shapes as unet_shapes
from nodes.models.weight_patches import WeightPatch, by_name, patched
from nodes.pictures import metadata
from nodes.saving import save_files

log = logging.getLogger(__name__)

UNET: Final = "model.diffusion_model."

_ARCHITECTURES: Final = {
    "sd1": "stable-diffusion-v1",
    "sd2": "stable-diffusion-v2-768-v",
    "sdxl": "stable-diffusion-xl-v1-base",
    "sdxl_refiner": "stable-diffusion-xl-v1-refiner",
}
"""ModelSpec's names of families (https://github.com/Stability-AI/ModelSpec)."""
_PREDICTIONS: Final = {"eps": "epsilon", "v": "v"}


class SaveError(SumiError):
    """A model cannot be saved. The message names the model and what is wrong."""


def save_checkpoint(
    context: Context, model: Model, clip: Clip | None, vae: Vae | None, prefix: str, prompt: Any, extra_pnginfo: Any
) -> list[SavedFile]:
    """Save a model, and its text encoders and VAE unless they are None, as one checkpoint in the original layout.

    Raises SaveError if a merge overflowed, OutputFileError if the file cannot be written.
    """
    entries = checkpoint_entries(model, clip, vae)
    return _save(context, entries, prefix, modelspec(model), prompt, extra_pnginfo)


def checkpoint_entries(model: Model, clip: Clip | None, vae: Vae | None) -> list[Entry]:
    """The tensors of a checkpoint with a model, and its text encoders and VAE unless they are None."""
    entries = unet_entries(model)
    for encoder in clip.encoders if clip is not None else ():
        entries += _encoder_in_checkpoint(encoder, model)
    if vae is not None:
        entries += vae_entries(vae, VAE_PREFIXES[0])
    markers = markers_of(model.sampling, model.family, model.latent)
    if markers is None:
        warn(log, "no file can say how this model is sampled; add the node that says it again when you load the file")
    return entries + [_marker(name, values) for name, values in (markers or {}).items()]


def save_clip(context: Context, clip: Clip, prefix: str, prompt: Any, extra_pnginfo: Any) -> list[SavedFile]:
    """Save each text encoder as a file in transformers' layout, named ``{prefix}_clip_l`` and the like.

    Raises SaveError if a merge overflowed, OutputFileError.
    """
    saved: list[SavedFile] = []
    for encoder in clip.encoders:
        name = f"{prefix}_clip_{encoder.role.name}"
        saved += _save(context, encoder_entries(encoder), name, {}, prompt, extra_pnginfo, len(saved))
    return saved


def save_vae(context: Context, vae: Vae, prefix: str, prompt: Any, extra_pnginfo: Any) -> list[SavedFile]:
    """Save a VAE as a file in the original layout. Raises OutputFileError."""
    return _save(context, vae_entries(vae), prefix, {}, prompt, extra_pnginfo)


def unet_entries(model: Model) -> list[Entry]:
    """The tensors of a model's U-Net as a checkpoint names them."""
    return _entries(model.weights, unet_shapes(model.config), model.patches, model.dtype, UNET, model.storage)


def encoder_entries(encoder: TextEncoder, prefix: str = "") -> list[Entry]:
    """The tensors of a text encoder in transformers' layout."""
    return _entries(encoder.weights, text_shapes(encoder.config), encoder.patches, device.text_dtype(), prefix)


def vae_entries(vae: Vae, prefix: str = "") -> list[Entry]:
    """The tensors of a VAE."""
    return [
        entry
        for weights, shapes, inner in vae.parts()
        for entry in _entries(weights, shapes, (), device.vae_dtype(), prefix + inner)
    ] + [_marker(prefix + name, (value,)) for name, value in scale_markers(vae).items()]


def values_of(entries: Iterable[Entry]) -> dict[str, Tensor]:
    """The tensors of ``entries`` by name: all in memory, so for small models."""
    return {entry.name: entry.read() for entry in entries}


def _entries(
    weights: StoredNetwork[Any],
    shapes: Mapping[str, tuple[int, ...]],
    patches: Sequence[WeightPatch],
    dtype: torch.dtype,
    prefix: str,
    storage: Storage | None = None,
) -> list[Entry]:
    """The network's tensors under ``prefix``, in fp8 if they are fp8 in memory.

    Otherwise patched ones are in the wider of ``dtype`` and the file's precision, the others in the file's.
    """
    checkpoint = Checkpoint.open(weights.path)
    own = by_name(patches)

    def read(name: str, shape: tuple[int, ...], kept: torch.dtype) -> Tensor:
        tensor = opened(weights.path, weights.fingerprint).tensor(weights.prefix + name).reshape(shape)
        if name in own:
            tensor = patched(tensor, own[name])
            if not bool(tensor.isfinite().all()):
                raise SaveError(f"{weights.path.name}: tensor '{name}' holds NaN or infinity once patched")
            tensor = rounded(tensor, kept, name) if is_fp8(kept) else tensor
        if is_fp8(kept) and not is_fp8(tensor.dtype) and bool(tensor.abs().max() > torch.finfo(kept).max):
            raise SaveError(f"{weights.path.name}: tensor '{name}' does not fit {kept}")
        return tensor

    found = []
    for name, shape in shapes.items():
        in_file = checkpoint.dtypes[weights.prefix + name]
        stored = dtype_named(in_file)
        kept = memory_dtype(storage, in_file, dtype, device.device().type)
        if not is_fp8(kept):
            kept = _wider(stored, dtype) if name in own else stored
        found.append(Entry(prefix + name, kept, shape, partial(read, name, shape, kept)))
    return found


def _wider(stored: torch.dtype, computed: torch.dtype) -> torch.dtype:
    """A precision that holds every value of both."""
    return computed if stored.itemsize == 1 else torch.promote_types(stored, computed)


def _encoder_in_checkpoint(encoder: TextEncoder, model: Model) -> list[Entry]:
    """A text encoder's tensors under the prefix, and in the layout, that checkpoints of the model's family have."""
    role = next((role for role in model.family.text if role.name == encoder.role.name), encoder.role)
    prefix = role.prefixes[0]
    entries = encoder_entries(encoder)
    if not prefix.endswith(".model."):
        return [Entry(prefix + entry.name, entry.dtype, entry.shape, entry.read) for entry in entries]
    by = {entry.name: entry for entry in entries}
    found = []
    for name, joined in packed(by).items():
        parts = [by[part] for part in joined.names]
        shape = (sum(part.shape[0] for part in parts), *parts[0].shape[1:])
        dtype = parts[0].dtype
        for part in parts:
            dtype = dtype if dtype == part.dtype else torch.promote_types(dtype, part.dtype)
        reads = [part.read for part in parts]
        read = partial(_joined, reads, dtype, joined.transposed)
        found.append(Entry(prefix + name, dtype, shape[::-1] if joined.transposed else shape, read))
    return found


def _joined(reads: Sequence[Callable[[], Tensor]], dtype: torch.dtype, transposed: bool) -> Tensor:
    tensor = torch.cat([read().to(dtype) for read in reads])
    return tensor.T if transposed else tensor


def _marker(name: str, values: Sequence[float]) -> Entry:
    exact = torch.tensor(values, dtype=torch.float64)
    tensor = exact.float() if torch.equal(exact.float().double(), exact) else exact
    return Entry(name, tensor.dtype, tuple(tensor.shape), lambda: tensor)


def modelspec(model: Model) -> dict[str, str]:
    texts = {"modelspec.sai_model_spec": "1.0.0", "modelspec.implementation": "sgm"}
    if model.family.name in _ARCHITECTURES:
        texts["modelspec.architecture"] = _ARCHITECTURES[model.family.name]
    prediction = _PREDICTIONS.get(getattr(model.sampling, "prediction", ""))
    if prediction is not None:
        texts |= {"modelspec.predict_key": prediction, "modelspec.prediction_type": prediction}
    return texts


def _save(
    context: Context,
    entries: Sequence[Entry],
    prefix: str,
    texts: Mapping[str, str],
    prompt: Any,
    extra_pnginfo: Any,
    first: int = 0,
) -> list[SavedFile]:
    texts = {"format": "pt", **texts, **metadata.texts(prompt, extra_pnginfo)}

    def write(file: BinaryIO) -> None:
        write_safetensors(file, entries, texts, context.progress)

    try:
        return save_files(context, [write], prefix=prefix, suffix=".safetensors", first=first)
    finally:
        close()
