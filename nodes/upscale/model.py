"""Upscale models: recognises them in files, and loads the network when a picture is enlarged."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from nodes.models.checkpoint import Checkpoint, Fingerprint
from nodes.models.contents import description_of
from nodes.models.handle import Handle
from nodes.models.open_files import close, opened
from nodes.upscale.spandrel_import import UpscaleModelError, import_spandrel

if TYPE_CHECKING:
    import torch

_WRAPPERS: Final = ("params_ema.", "params-ema.", "params.", "model_state_dict.", "state_dict.")
"""Dictionaries into which training tools put the weights, best first: averages, then the last weights."""
_DOUBTFUL_WRAPPERS: Final = ("model.", "net.")
"""Dictionaries of other tools, and names of layers. They are removed if the file cannot be read otherwise."""


@dataclass(frozen=True)
class UpscaleModel(Handle):
    """A network that enlarges pictures by ``scale``. ``architecture`` is spandrel's name, ``channels`` its input's."""

    path: Path
    fingerprint: Fingerprint
    architecture: str
    scale: int
    channels: int

    def network(self, device: torch.device) -> Any:
        """Return spandrel's descriptor with the network in float32 on ``device``. It stays loaded until another one is.

        Raises CheckpointError if the file changed.
        """
        return _loaded(self.path, self.fingerprint, device)


def upscale_model_in(checkpoint: Checkpoint) -> UpscaleModel:
    """Return the upscale model in a file.

    Raises UpscaleModelError if the file is another kind of model or has NaN, or if spandrel is missing.
    """
    found = _descriptor(checkpoint)
    return UpscaleModel(
        checkpoint.path, checkpoint.fingerprint, found.architecture.name, found.scale, found.input_channels
    )


def unload() -> None:
    """Release the loaded network."""
    _loaded.cache_clear()


@lru_cache(maxsize=1)
def _loaded(path: Path, fingerprint: Fingerprint, device: torch.device) -> Any:
    try:
        return _descriptor(opened(path, fingerprint)).float().to(device).eval()
    finally:
        close()


def _descriptor(checkpoint: Checkpoint) -> Any:
    """Return spandrel's description of the network. Raises UpscaleModelError if spandrel does not know it."""
    spandrel = import_spandrel()
    tensors = {name: checkpoint.tensor(name) for name in checkpoint.shapes}
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
            raise UpscaleModelError(f"{checkpoint.path}: tensor '{name}' holds NaN or infinity")
    found, problem = None, None
    for names in unwrappings(tensors):
        try:
            found = spandrel.ModelLoader().load_from_state_dict({inner: tensors[name] for inner, name in names.items()})
            break
        except (spandrel.UnsupportedModelError, RuntimeError, KeyError, ValueError, AssertionError) as error:
            # The detection of architectures raises undocumented errors for other state dicts.
            problem = problem or error
    if found is None:
        reason = "" if isinstance(problem, spandrel.UnsupportedModelError) else f" ({_first_line(problem)})"
        raise UpscaleModelError(
            f"{checkpoint.path}: {description_of(checkpoint)}{reason}; expected an upscale model of an architecture "
            "that spandrel knows, such as ESRGAN, Real-ESRGAN, SwinIR, HAT or DAT"
        ) from problem
    if not isinstance(found, spandrel.ImageModelDescriptor):
        raise UpscaleModelError(
            f"{checkpoint.path}: is a {found.architecture.name} model, which takes more than one picture; "
            "expected an upscale model"
        )
    found.model.requires_grad_(False)
    return found


def unwrappings(names: Iterable[str]) -> Iterator[dict[str, str]]:
    """Yield ways to read a file: name in the network → name in the file, without the name of the dictionary."""
    listed = list(names)
    certain = next((w for w in _WRAPPERS if any(name.startswith(w) for name in listed)), "")
    own = [name for name in listed if name.startswith(certain)]
    yield {name.removeprefix(certain): name for name in own}
    for wrapper in _DOUBTFUL_WRAPPERS:
        if all(name.startswith(certain + wrapper) for name in own):
            yield {name.removeprefix(certain + wrapper): name for name in own}


def _first_line(error: Exception | None) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
