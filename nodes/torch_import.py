"""Imports torch faster than a plain import does, and while other work goes on."""

from __future__ import annotations

import contextlib
import threading

from graph.garbage import uncollected


def import_torch() -> None:
    """Import torch, with the garbage collector off. Raises what the import raises: ImportError, OSError and others."""
    with uncollected():
        import torch  # noqa: F401


def begin_import_of_torch() -> None:
    """Start :func:`import_torch` in a thread. A later ``import torch`` waits for it, and reports an error."""
    threading.Thread(target=_import_quietly, name="import torch", daemon=True).start()


def _import_quietly() -> None:
    with contextlib.suppress(Exception):
        import_torch()
