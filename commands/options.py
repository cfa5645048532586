"""The options that several commands share, and the folders, registry and engine made from them."""

from __future__ import annotations

import argparse
import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING

from graph.errors import SumiError

if TYPE_CHECKING:
    from graph import Engine
    from graph.folders import Folders
    from graph.schema import Registry
    from nodes.packs.loading import CustomNodes


class OptionError(SumiError):
    """Options that contradict each other."""


ROOT = Path(__file__).resolve().parent.parent
GIGABYTE = 1024**3

_FOLDER_HELP = {
    "base_directory": "where models/, input/, output/, temp/, user/ and custom_nodes/ are (default: Sumi's own folder)",
    "output_directory": "where pictures are saved (default: output/ in the base directory)",
    "input_directory": "where LoadImage finds pictures (default: input/ in the base directory)",
    "temp_directory": "save previews in DIR/temp (default: temp/ in the base directory)",
    "user_directory": "where the cache, the queue and the history are (default: user/ in the base directory)",
    "models_dir": "where checkpoints/, loras/, vae/ … are (default: models/ in the base directory)",
}


def folder_options() -> argparse.ArgumentParser:
    """Return the options for folders: ComfyUI's flags, the same for every command."""
    parser = argparse.ArgumentParser(add_help=False)
    group = parser.add_argument_group("folders")
    for name, text in _FOLDER_HELP.items():
        default = ROOT if name == "base_directory" else None
        group.add_argument(f"--{name.replace('_', '-')}", type=Path, metavar="DIR", help=text, default=default)
    group.add_argument(
        "--extra-model-paths-config",
        type=Path,
        metavar="FILE",
        nargs="+",
        action="extend",
        default=[],
        help="more model folders, from a file in the format of ComfyUI's extra_model_paths.yaml",
    )
    group.add_argument("--disable-all-custom-nodes", action="store_true", help="do not load custom_nodes/")
    group.add_argument(
        "--whitelist-custom-nodes",
        metavar="NAME",
        nargs="+",
        action="extend",
        default=[],
        help="with --disable-all-custom-nodes: load these files or folders anyway",
    )
    return parser


def device_options() -> argparse.ArgumentParser:
    """Return the options for the device and its precision."""
    parser = argparse.ArgumentParser(add_help=False)
    group = parser.add_argument_group("device")
    group.add_argument("--device", default="auto", metavar="NAME", help="auto, cpu, cuda, cuda:N, mps or xpu")
    group.add_argument("--cpu", action="store_const", const="cpu", dest="device", help="the same as --device cpu")
    group.add_argument(
        "--precision",
        default="auto",
        choices=("auto", "fp32", "bf16", "fp16"),
        help="precision of the networks; sigmas, guidance and solver state are always fp32",
    )
    group.add_argument(
        "--backend",
        default="torch",
        choices=("torch", "openvino"),
        help="library that computes U-Nets on a CPU; openvino is faster on some of Intel's and needs: "
        "python install.py --extra openvino (default: torch)",
    )
    group.add_argument(
        "--weights",
        default="computed",
        choices=("computed", "file"),
        help="what stays in memory: weights in the precision of the computation, or as the file has them, widened for "
        "each call; file halves the memory of fp16 files with --precision fp32, with the same results (default: "
        "computed)",
    )
    group.add_argument(
        "--compile",
        action="store_true",
        help="compile U-Nets and VAE decoders with torch.compile: the first call is slow, the others are faster; the "
        "result is kept in user/compiled; needs Triton on a GPU, a C++ compiler on a CPU",
    )
    group.add_argument("--verbose", action="store_true", help="log details")
    _add_memory_options(parser)
    return parser


def _add_memory_options(parser: argparse.ArgumentParser) -> None:
    """Add ComfyUI's flags for GPU memory; :mod:`nodes.vram` implements them."""
    group = parser.add_argument_group("GPU memory")
    group.add_argument(
        "--reserve-vram",
        type=_size,
        metavar="GB",
        help="leave this much GPU memory to other programs (default: 0.4; on Windows 0.6)",
    )
    modes = group.add_mutually_exclusive_group()
    for flag, mode, text in (
        ("--gpu-only", "gpu-only", "the same as --highvram, since text encoders always compute on the GPU"),
        ("--highvram", "high", "keep whole models on the GPU until it runs out of memory"),
        ("--normalvram", "normal", "keep as many weights on the GPU as fit beside the computation (the default)"),
        ("--lowvram", "low", "keep part of a model on the GPU and load the rest for each call"),
        ("--novram", "no", "keep no weights on the GPU; load them for each call"),
    ):
        modes.add_argument(flag, dest="vram", action="store_const", const=mode, help=text)
    parser.set_defaults(vram="normal")


def configure_device(options: argparse.Namespace) -> None:
    """Apply :func:`device_options` to this process. Raises DeviceError if the device does not exist."""
    from nodes import device, previews, vram
    from nodes.models import storage

    device.configure(
        getattr(options, "device", "auto"),
        getattr(options, "precision", "auto"),
        getattr(options, "backend", "torch"),
        compile=getattr(options, "compile", False),
    )
    storage.keep_file_weights(getattr(options, "weights", "computed") == "file")
    previews.configure(getattr(options, "preview_method", "auto"))
    vram.configure(getattr(options, "vram", "normal"), getattr(options, "reserve_vram", None))


def cache_options() -> argparse.ArgumentParser:
    """Return the options for the cache of results."""
    parser = argparse.ArgumentParser(add_help=False)
    group = parser.add_argument_group("cache")
    group.add_argument(
        "--cache-ram",
        nargs="?",
        const=_size("4"),
        type=_size,
        default=_size("2"),
        metavar="GB",
        help="memory for results; without a number: 4 (default: 2)",
    )
    group.add_argument(
        "--cache-disk",
        type=_size,
        default=_size("10"),
        metavar="GB",
        help="disk space for results; 0 for none (default: 10)",
    )
    group.add_argument(
        "--cache-url",
        metavar="URL",
        help="also share results with other machines, at file://…, s3://… or any other URL that fsspec knows (default: "
        "SUMI_CACHE_URL in the environment); needs: python install.py --extra cluster",
    )
    group.add_argument("--cache-none", "--no-cache", action="store_true", help="keep no results between runs")
    group.add_argument(
        "--cache-lru",
        type=_count,
        default=0,
        metavar="N",
        help="keep N results, in memory only; 0 means the default cache",
    )
    group.add_argument(
        "--check-values", action="store_true", help="fail a node that changes a value it received (for node authors)"
    )
    return parser


def run_options() -> argparse.ArgumentParser:
    """Return the options for what a run makes, prints and saves."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--json", action="store_true", help="print each event as a line of JSON")
    parser.add_argument("--previews", action="store_true", help="with --json: print previews, too, in base64")
    parser.add_argument("--disable-metadata", action="store_true", help="save pictures without the workflow in them")
    parser.add_argument(
        "--sweep",
        action="append",
        default=[],
        metavar="NODE.input=VALUES",
        help="run once for each value: 3,5,7 or 1..10 or 1,3..9 for numbers, names or all for choices, red|blue for "
        "texts; up to three, for all combinations, with a labelled grid at the end",
    )
    parser.add_argument("--yes", action="store_true", help="run a sweep of more than 100 pictures without asking")
    return parser


def workflow_changes() -> argparse.ArgumentParser:
    """Return the options that change a workflow's inputs; :mod:`commands.overrides` applies them."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NODE.input=value",
        help="change an input before the run; NODE is an id, or a title or class that occurs once; may be repeated",
    )
    parser.add_argument("--prompt", metavar="TEXT", help="set the text that reaches the sampler's `positive`")
    return parser


def folders_of(options: argparse.Namespace) -> Folders:
    """Return the folders from the options. Raises InputFileError for a bad extra-model-paths file."""
    from nodes.model_folders import folders

    return folders(
        options.base_directory,
        input=options.input_directory,
        output=options.output_directory,
        temp=options.temp_directory / "temp" if options.temp_directory else None,
        user=options.user_directory,
        models=options.models_dir,
        extra_model_paths=options.extra_model_paths_config,
    )


def registry_of(options: argparse.Namespace, folders: Folders) -> Registry:
    """Return the registry of nodes, custom ones included, for the device and precision in the options."""
    registry, _ = registry_and_packs_of(options, folders)
    return registry


def registry_and_packs_of(options: argparse.Namespace, folders: Folders) -> tuple[Registry, CustomNodes]:
    """Return the registry of nodes, and what happened when the packs in custom_nodes/ were loaded."""
    import nodes
    import server
    from nodes import compilers
    from nodes.packs.loading import CustomNodes, load_custom_nodes
    from nodes.packs.record import ImportRecord

    logging.basicConfig(
        level=logging.INFO if getattr(options, "verbose", False) else logging.WARNING,
        format="%(levelname)s %(name)s: %(message)s",
    )
    configure_device(options)
    compilers.keep_in(folders.user / "compiled")
    if _no_packs(options):
        return nodes.registry(), CustomNodes()
    record = getattr(options, "import_record", None)
    custom = load_custom_nodes(
        _pack_directories(options, folders),
        folders,
        own=nodes.registry(),
        only=options.whitelist_custom_nodes if options.disable_all_custom_nodes else None,
        server_package=server,
        flags={name: value for name, value in vars(options).items() if name != "token"},
        record=ImportRecord(folders.user / record) if record is not None else None,
    )
    return nodes.registry(custom.types, custom.codecs), custom


def nodes_state(options: argparse.Namespace, folders: Folders) -> str:
    """Return a text that changes when the nodes may have changed: other options, or edited code of Sumi or a pack."""
    from nodes.packs.loading import code_state

    flags = f"{options.disable_all_custom_nodes} {sorted(options.whitelist_custom_nodes)}"
    directories = [] if _no_packs(options) else _pack_directories(options, folders)
    return f"{flags} {code_state([ROOT / 'graph', ROOT / 'nodes'], directories)}"


def _no_packs(options: argparse.Namespace) -> bool:
    return bool(options.disable_all_custom_nodes and not options.whitelist_custom_nodes)


def _pack_directories(options: argparse.Namespace, folders: Folders) -> list[Path]:
    added = folders.models["custom_nodes"].directories if "custom_nodes" in folders.models else ()
    return [options.base_directory / "custom_nodes", *added]


def engine_of(options: argparse.Namespace, registry: Registry, folders: Folders) -> Engine:
    """Return an engine with the cache from the options. Raises CacheUrlError."""
    from graph import CacheSettings, Engine

    in_memory_only = options.cache_lru > 0 or options.cache_disk == 0
    settings = CacheSettings(
        memory_bytes=options.cache_ram,
        disk=None if in_memory_only else folders.user / "cache",
        disk_bytes=options.cache_disk,
        lru=options.cache_lru or None,
        enabled=not options.cache_none,
        shared=cache_url_of(options),
    )
    return Engine(registry, folders=folders, cache=settings, check_values=options.check_values)


def check_cache_options(options: argparse.Namespace) -> None:
    """Raise OptionError or CacheUrlError if the URL of the shared cache cannot be used."""
    if options.cache_url is not None and (options.cache_none or options.cache_lru):
        off = "--cache-none" if options.cache_none else "--cache-lru"
        raise OptionError(f"{off} keeps no results that machines could share; remove it or --cache-url")
    url = cache_url_of(options)
    if url is not None:
        from graph.cache.shared import check_cache_url

        check_cache_url(url)


def cache_url_of(options: argparse.Namespace) -> str | None:
    """Return the URL of the shared cache: ``--cache-url``, or else ``SUMI_CACHE_URL`` in the environment."""
    if options.cache_none or options.cache_lru:
        return None
    return options.cache_url or os.environ.get("SUMI_CACHE_URL") or None


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r}: expected a number of results, such as 50, or 0")
    return int(text)


def _size(text: str) -> int:
    try:
        gigabytes = float(text)
    except ValueError:
        gigabytes = -1.0
    if not 0 <= gigabytes < 1e6:
        raise argparse.ArgumentTypeError(f"{text!r}: expected a number of gigabytes, such as 2 or 0.5")
    return int(gigabytes * GIGABYTE)
