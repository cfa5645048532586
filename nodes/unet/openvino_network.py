"""U-Nets computed by OpenVINO (``--backend openvino``): the graph is saved on disk once, and compiled when it is used.

OpenVINO keeps its own copy of the weights, in the order that its kernels need; it is released with the other models.
One network is kept at a time. What it cannot compute (weight patches, functions inside the network, ControlNets) runs
on torch.
"""

from __future__ import annotations

import hashlib
import logging
import math
import secrets
import shutil
import threading
from functools import cache
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor

from graph.context import current
from graph.errors import SumiError
from nodes.models import residency
from nodes.models.checkpoint import CheckpointError
from nodes.models.handle import Model, UNetWeights
from nodes.models.open_files import close, opened
from nodes.models.storage import is_fp8
from nodes.unet import openvino_graph
from nodes.unet.timestep_embedding import timestep_embedding

log = logging.getLogger(__name__)

KEPT_ON_DISK: Final = 3
"""Graphs that stay on disk. Each takes as much as its file's U-Net; the one unused for longest is deleted."""

_PRECISIONS: Final = {torch.float32: "f32", torch.bfloat16: "bf16", torch.float16: "f16"}
_ROOT: Final = Path(__file__).parents[2]


class OpenVinoError(SumiError):
    """OpenVINO cannot compile or run a network. The message has its report."""


class OpenVinoUNet:
    """A model's U-Net, computed by OpenVINO. It is compiled at the first call, and loads nothing into torch."""

    def __init__(self, model: Model):
        self._model = model
        self._compiled: _Compiled | None = None

    def __call__(self, x: Tensor, timesteps: Tensor, context: Any, y: Tensor | None) -> Tensor:
        """Predict like :meth:`nodes.unet.unet.UNet.forward`: float32 [B, out_channels, h, w].

        Raises CheckpointError if the model's file changed, or holds NaN or infinity, and OpenVinoError.
        """
        if self._compiled is None:
            self._compiled = _compiled(self._model)
        config = self._model.config
        inputs = {"x": x.float(), "embedding": timestep_embedding(timesteps, config.model_channels)}
        if config.context_width:
            inputs["context"] = context.float()
        if y is not None:
            inputs["y"] = y.long() if config.classes is not None else y.float()
        return self._compiled.run(inputs)


def reason_for_torch(model: Model) -> str | None:
    """Return why torch has to compute every call of ``model``, in a few words, or None."""
    if model.patches:
        return "its weights are patched (a LoRA, a merge)"
    if model.changes.parts:
        return "a node replaced parts of its network"
    if model.changes.compile is not None:
        return "a node compiles it with torch"
    if model.storage != "default":
        return f"its weights are kept in {model.storage}"
    return None


class _Compiled:
    def __init__(self, compiled: Any):
        self._request = compiled.create_infer_request()
        self._lock = threading.Lock()

    def run(self, inputs: dict[str, Tensor]) -> Tensor:
        arrays = {name: tensor.detach().cpu().contiguous().numpy() for name, tensor in inputs.items()}
        try:
            with self._lock:
                output = self._request.infer(arrays)[0]
                return torch.from_numpy(output.copy())
        except RuntimeError as error:
            raise OpenVinoError(f"OpenVINO cannot run the model: {_first_line(error)}") from error


_kept: dict[tuple[UNetWeights, torch.dtype, int], _Compiled] = {}
_keeping = threading.Lock()
residency.when_freed(_kept.clear)


def _compiled(model: Model) -> _Compiled:
    """Return the compiled U-Net of ``model``, compiled now if it is not the last one."""
    import openvino

    key = model.weights, model.dtype, torch.get_num_threads()
    with _keeping:
        if (kept := _kept.get(key)) is not None:
            opened(model.weights.path, model.weights.fingerprint)  # raises if the file changed
            close()
            return kept
        _kept.clear()
        settings = {
            "INFERENCE_PRECISION_HINT": _PRECISIONS[model.dtype],
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
            "PERFORMANCE_HINT": "LATENCY",
        }
        if (context := current()) is not None:
            context.show_text("Compiling the model for OpenVINO")
        try:
            compiled = openvino.Core().compile_model(str(_saved(model.weights)), "CPU", settings)
        except RuntimeError as error:
            raise OpenVinoError(
                f"OpenVINO cannot compile {model.weights.path.name}: {_first_line(error)}. "
                f"Run without --backend openvino, or delete {_folder()} and try again"
            ) from error
        _kept[key] = _Compiled(compiled)
        return _kept[key]


def _saved(weights: UNetWeights) -> Path:
    """Return the file of the network's graph; write it first if there is none for this state of the model's file."""
    folder = _folder()
    checkpoint = opened(weights.path, weights.fingerprint)
    target = folder / _name_of(weights)
    if not (target / "unet.xml").exists():
        log.info("%s: saving its graph for OpenVINO in %s", weights.path.name, target)
        new = folder / f"{target.name}.{secrets.token_hex(4)}.new"
        new.mkdir(parents=True)
        try:
            _write(weights, checkpoint.tensor, new / "unet.xml")
            if not target.exists():
                new.rename(target)
        finally:
            shutil.rmtree(new, ignore_errors=True)
    close()
    target.touch()
    others = [path for path in folder.iterdir() if path != target and not path.name.endswith(".new")]
    for old in sorted(others, key=lambda path: path.stat().st_mtime, reverse=True)[KEPT_ON_DISK - 1 :]:
        shutil.rmtree(old, ignore_errors=True)
    return target / "unet.xml"


def _write(weights: UNetWeights, read: Any, path: Path) -> None:
    import openvino

    def tensor(name: str) -> Tensor:
        values: Tensor = read(weights.prefix + name)
        checked = values.float() if is_fp8(values.dtype) else values
        if not math.isfinite(checked.sum(dtype=torch.float32)) and not checked.isfinite().all():
            raise CheckpointError(f"{weights.path}: tensor '{weights.prefix + name}' holds NaN or infinity")
        return values

    openvino.save_model(openvino_graph.unet_graph(weights.config, tensor), str(path), compress_to_fp16=False)
    # Marks the conversions of fp16 weights. OpenVINO then converts one layer at a time; otherwise it makes float32
    # copies of all of them. Its Python interface cannot set the mark.
    plain = '<data destination_type="f32" />'
    marked = f'{plain}<rt_info><attribute name="decompression" version="0" /></rt_info>'
    path.write_text(path.read_text(encoding="utf-8").replace(plain, marked), encoding="utf-8")


def _name_of(weights: UNetWeights) -> str:
    """Name a saved graph by the state of the model's file and the code that makes the graph."""
    parts = (weights.fingerprint, weights.prefix, weights.config, _code())
    return hashlib.blake2b(repr(parts).encode(), digest_size=16).hexdigest()


@cache
def _code() -> str:
    import openvino

    sources = b"".join(Path(file).read_bytes() for file in (__file__, openvino_graph.__file__))
    return f"{openvino.__version__} {hashlib.blake2b(sources).hexdigest()}"


def _folder() -> Path:
    context = current()
    user = context.folders.user if context is not None else _ROOT / "user"
    return user / "openvino"


def _first_line(error: Exception) -> str:
    """Return the line of OpenVINO's report that says what happened; those before it name its sources."""
    lines = [line for line in str(error).splitlines() if line.strip()]
    return next((line for line in reversed(lines) if not line.startswith("Exception from")), type(error).__name__)
