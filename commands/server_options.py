"""The flags of ``main.py serve``: ComfyUI's flags with the same meaning, and a few more."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from commands.access_options import add_access_options
from server.store.jobs import PREVIEW_METHODS

_IGNORED_FLAGS: Final = (
    "auto-launch", "disable-auto-launch", "cuda-malloc", "disable-cuda-malloc", "fp64-unet", "fp8_e4m3fn-unet",
    "fp8_e5m2-unet", "fp8_e8m0fnu-unet", "fp16-vae", "fp32-vae", "bf16-vae", "cpu-vae", "fp8_e4m3fn-text-enc",
    "fp8_e5m2-text-enc", "fp16-text-enc", "fp32-text-enc", "bf16-text-enc", "force-channels-last",
    "disable-ipex-optimize", "supports-fp8-compute", "cache-classic", "use-split-cross-attention",
    "use-quad-cross-attention", "use-pytorch-cross-attention", "use-sage-attention", "use-flash-attention",
    "disable-xformers", "force-upcast-attention", "dont-upcast-attention",
    "disable-async-offload", "force-non-blocking", "disable-smart-memory", "deterministic",
    "mmap-torch-files", "disable-mmap", "dont-print-server", "quick-test-for-ci", "windows-standalone-build",
    "disable-api-nodes", "log-stdout", "enable-compress-response-body", "disable-assets-autoscan",
    "enable-manager", "disable-manager-ui", "enable-manager-legacy-ui", "disable-pinned-memory",
)  # fmt: skip
_IGNORED_FLAGS_WITH_VALUE: Final = (
    "default-device", "directml", "oneapi-device-selector", "preview-size", "async-offload",
    "default-hashing-function", "front-end-version", "comfy-api-base", "database-url",
)  # fmt: skip
_IGNORED_FLAGS_WITH_VALUES: Final = ("fast",)


@dataclass(frozen=True)
class WorkerCount:
    """How many workers run at least and at most."""

    least: int
    most: int

    def __str__(self) -> str:
        return str(self.most) if self.least == self.most else f"{self.least}..{self.most}"


def _worker_count(text: str) -> WorkerCount:
    least, dots, most = text.partition("..")
    try:
        count = WorkerCount(int(least), int(most if dots else least))
    except ValueError:
        count = WorkerCount(-1, -1)
    if not 0 <= count.least <= count.most or count.most < 1:
        raise argparse.ArgumentTypeError(f"{text!r}: expected a number of workers, such as 2, or a range, such as 0..8")
    return count


def _resources(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f'{text!r}: expected JSON, such as {{"num_gpus": 1}} ({error})') from error
    if not isinstance(found, dict) or (unknown := found.keys() - _RESOURCES):
        wrong = f"{min(unknown)!r} is not among" if isinstance(found, dict) else "expected an object with"
        raise argparse.ArgumentTypeError(f"{text!r}: {wrong} {', '.join(sorted(_RESOURCES))}")
    return found


_RESOURCES: Final = frozenset({"num_cpus", "num_gpus", "memory", "resources", "accelerator_type", "label_selector"})
"""Options of a Ray actor that say what it needs."""


class _Ignored(argparse.Action):
    """Accepts a flag that has no effect here, and collects it for one warning."""

    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: str | None = None) -> None:
        namespace.ignored = [*namespace.ignored, option_string]


def add_server_options(parser: argparse.ArgumentParser) -> None:
    """Add the server's own flags (those for folders, device and cache are shared with other commands)."""
    group = parser.add_argument_group("server")
    group.add_argument(
        "--listen",
        nargs="?",
        const="0.0.0.0,::",
        default="127.0.0.1",
        metavar="IP",
        help="addresses to listen on, separated by commas; without a value: all addresses (default: 127.0.0.1)",
    )
    group.add_argument("--port", type=int, default=8188, help="(default: 8188)")
    group.add_argument("--tls-keyfile", type=Path, metavar="FILE", help="with --tls-certfile: serve HTTPS")
    group.add_argument("--tls-certfile", type=Path, metavar="FILE")
    group.add_argument(
        "--enable-cors-header",
        nargs="?",
        const="*",
        metavar="ORIGIN",
        help="let web pages of ORIGIN (without a value: of any origin) use this server",
    )
    group.add_argument("--max-upload-size", type=float, default=100.0, metavar="MB", help="(default: 100)")
    group.add_argument("--front-end-root", type=Path, metavar="DIR", help="serve DIR at / instead of Sumi's editor")
    add_access_options(group)
    group.add_argument(
        "--trusted-host",
        action="append",
        default=[],
        metavar="NAME",
        help="accept this name in the Host header, for example behind a proxy; may be repeated",
    )
    group.add_argument(
        "--workers",
        type=_worker_count,
        metavar="N|MIN..MAX",
        help="number of workers (default: one per GPU, else 1); with MIN..MAX, more start while jobs wait, and end "
        "after a minute without a job",
    )
    group.add_argument(
        "--cluster",
        metavar="HOST:PORT|auto",
        help="run the workers on the Ray cluster whose head is at HOST:PORT; auto: on a new one of this machine alone",
    )
    group.add_argument(
        "--worker-resources",
        type=_resources,
        metavar="JSON",
        help='what each worker takes of the cluster\'s resources, as Ray names them (default: {"num_cpus": 1}; with '
        "auto: a GPU, or without one an equal share of the CPUs)",
    )
    group.add_argument(
        "--in-process",
        action="store_true",
        help="run nodes in the server's own process, to debug them; a node that crashes then ends the server",
    )
    group.add_argument(
        "--no-warm-up",
        action="store_true",
        help="import torch and the nodes' code for the first prompt, not at the start",
    )
    group.add_argument("--start-paused", action="store_true", help="start with the queue paused")
    group.add_argument(
        "--webhook-host",
        action="append",
        default=[],
        metavar="NAME",
        help="let webhooks call this host in addition to this machine; may be repeated",
    )
    group.add_argument(
        "--default-model",
        metavar="NAME",
        help="checkpoint or app for requests of OpenAI's interface that name none (default: the embedded model)",
    )
    group.add_argument(
        "--api",
        action="append",
        choices=["a1111"],
        default=[],
        help="also answer the interface of AUTOMATIC1111's web UI, /sdapi/v1",
    )
    group.add_argument("--disable-metadata", action="store_true", help="save pictures without the workflow in them")
    group.add_argument("--preview-method", choices=PREVIEW_METHODS, default="auto", help="how to make previews")
    group.add_argument(
        "--verbose",
        nargs="?",
        const="DEBUG",
        default="INFO",
        choices=("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"),
        help="log level (default: INFO; without a value: DEBUG)",
    )
    group.add_argument("--send-files", action="store_true", help=argparse.SUPPRESS)  # for a worker with its own folders
    group.add_argument("--import-record", metavar="NAME", help=argparse.SUPPRESS)  # of a worker, in the user folder
    group.add_argument("--log-json", action="store_true", help="log one JSON object a line")
    group.add_argument("--cuda-device", dest="device", metavar="N", type=lambda number: f"cuda:{int(number)}")
    _add_precisions(parser)
    _add_ignored(parser)


def _add_precisions(parser: argparse.ArgumentParser) -> None:
    for precision, flags in {
        "fp32": ("--force-fp32", "--fp32-unet"),
        "fp16": ("--force-fp16", "--fp16-unet"),
        "bf16": ("--bf16-unet",),
    }.items():
        parser.add_argument(*flags, dest="precision", action="store_const", const=precision, help=argparse.SUPPRESS)


def _add_ignored(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(ignored=[])
    for names, count in (
        (_IGNORED_FLAGS, 0),
        (_IGNORED_FLAGS_WITH_VALUE, "?"),
        (_IGNORED_FLAGS_WITH_VALUES, "*"),
    ):
        for name in names:
            parser.add_argument(f"--{name}", action=_Ignored, nargs=count, dest="ignored", help=argparse.SUPPRESS)


def without_secrets(arguments: Sequence[str]) -> list[str]:
    """Return the command line for workers, without tokens: other users can read a process's arguments."""
    kept: list[str] = []
    skip = False
    for argument in arguments:
        if skip:
            skip = False
        elif argument == "--token":
            skip = True
        elif not argument.startswith("--token="):
            kept.append(argument)
    return kept
