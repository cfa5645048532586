"""Networks compiled with torch.compile, for faster calls after a slow first one: the option ``--compile``, and a node.

What the compiler made is kept on disk (:func:`nodes.compilers.keep_in`), so that the next process only loads it.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any, Final, Literal

from graph.context import warn
from graph.errors import SumiError
from nodes import compilers, device

log = logging.getLogger(__name__)

Backend = Literal["inductor", "cudagraphs"]

VERSIONS: Final = 64
"""Compiled versions of one network in a process: for other sizes, batches, precisions and families of models."""


_OWN_FORWARD: Final = frozenset({"forward", "stored_weights"})
"""Attributes of a module whose weights are read or converted for each call (:mod:`nodes.models.layers` sets them)."""


class CompilerError(SumiError):
    """A network cannot be compiled here. The message says what to install, or what the compiler reported."""


@dataclass(frozen=True)
class Compilation:
    """Compiles a network with one of torch.compile's backends. A failure is an error."""

    backend: Backend

    def __call__(self, network: Any) -> Any:
        """Return a function that replaces ``network``; see :func:`compiled`."""
        return compiled(network, network, self.backend)


def compiled(function: Any, network: Any, backend: Backend = "inductor") -> Any:
    """Return ``function``, a call of ``network``, compiled at its first call for each kind of input.

    If some of the network's layers are not ready in memory, ``function`` is returned, with a warning.
    The compiled function raises CompilerError.
    """
    import torch

    from nodes.fused import Convolution

    if any(not _OWN_FORWARD.isdisjoint(vars(module)) for module in network.modules()):
        warn(log, "the model is not compiled: some of its weights are read or converted for each call")
        return function
    _prepare()
    convolutions = [module for module in network.modules() if isinstance(module, Convolution)]
    run = torch.compile(function, backend=backend)

    def call(*args: Any, **kwargs: Any) -> Any:
        from torch._dynamo.exc import TorchDynamoException

        for convolution in convolutions:
            convolution.unpack()
        try:
            return run(*args, **kwargs)
        except TorchDynamoException as error:
            raise CompilerError(f"{backend} cannot compile the model: {_cause_of(error)}") from error

    return call


def compiled_by_option(function: Any, network: Any) -> Any:
    """Return ``function``, a call of ``network``, compiled if ``--compile`` is given.

    Where that is not possible, ``function`` itself runs. A missing compiler is reported once in a process, a network
    that cannot be compiled at each failure.
    """
    if not device.compiles():
        return function
    kind = device.device_name().split(":")[0]
    if (lacking := compilers.missing(kind)) is not None:
        _say_once(f"--compile has no effect: {lacking}")
        return function
    chosen = compiled(function, network)
    if chosen is function:
        return function

    def call(*args: Any, **kwargs: Any) -> Any:
        nonlocal chosen
        try:
            return chosen(*args, **kwargs)
        except CompilerError as error:
            warn(log, f"the model runs uncompiled: {error}")
            chosen = function
            return function(*args, **kwargs)

    return call


def check_backend(backend: Backend) -> None:
    """Raise CompilerError unless the tools of that backend are installed for the device that samples."""
    kind = device.device_name().split(":")[0]
    if backend == "cudagraphs":
        if kind != "cuda":
            raise CompilerError(f"the backend cudagraphs needs an NVIDIA GPU; this is {kind}. Choose inductor")
    elif (lacking := compilers.missing(kind)) is not None:
        raise CompilerError(f"the backend inductor cannot be used: {lacking}")


_said: set[str] = set()


def _say_once(message: str) -> None:
    """Report ``message`` once in this process."""
    if message not in _said:
        _said.add(message)
        warn(log, message)


def _prepare() -> None:
    """Choose how many versions of a network the compiler may make."""
    import torch._dynamo.config as settings

    settings.recompile_limit = max(settings.recompile_limit, VERSIONS)


def _cause_of(error: BaseException) -> str:
    """Return the first line of the error that the backend raised."""
    while (inner := getattr(error, "inner_exception", None) or error.__cause__) is not None:
        error = inner
    return next(iter(str(error).splitlines()), type(error).__name__)
