"""The options that several commands share, and what they make: folders, registry, engine."""

from __future__ import annotations

import argparse
import logging
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
    "input_directory": "where LoadImage looks (default: input/ in the base directory)",
    "temp_directory": "previews go to DIR/temp (default: temp/ in the base directory)",
    "user_directory": "the cache, the queue and its history live here (default: user/ in the base directory)",
    "models_dir": "where checkpoints/, loras/, vae/ … are (default: models/ in the base directory)",
}


def folder_options() -> argparse.ArgumentParser:
    """ComfyUI's folder flags, the same on every command."""
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
        help="further model folders, in the form of ComfyUI's extra_model_paths.yaml",
    )
    group.add_argument("--disable-all-custom-nodes", action="store_true", help="load nothing from custom_nodes/")
    group.add_argument(
        "--whitelist-custom-nodes",
        metavar="NAME",
        nargs="+",
        action="extend",
        default=[],
        help="with --disable-all-custom-nodes: load these files or folders all the same",
    )
    return parser


def device_options() -> argparse.ArgumentParser:
    """Where and how precisely to compute."""
    parser = argparse.ArgumentParser(add_help=False)
    group = parser.add_argument_group("device")
    group.add_argument("--device", default="auto", metavar="NAME", help="auto, cpu, cuda, cuda:N, mps or xpu")
    group.add_argument("--cpu", action="store_const", const="cpu", dest="device", help="the same as --device cpu")
    group.add_argument(
        "--precision",
        default="auto",
        choices=("auto", "fp32", "bf16", "fp16"),
        help="of the networks; sigmas, guidance and solver state are always fp32",
    )
    group.add_argument("--verbose", action="store_true", help="log what happens inside")
    _add_memory_options(parser)
    return parser


def _add_memory_options(parser: argparse.ArgumentParser) -> None:
    """ComfyUI's flags about a GPU's memory; :mod:`nodes.vram` follows them."""
    group = parser.add_argument_group("memory of a GPU")
    group.add_argument(
        "--reserve-vram",
        type=_size,
        metavar="GB",
        help="leave this much to other programs (default: 0.4; on Windows 0.6)",
    )
    modes = group.add_mutually_exclusive_group()
    for flag, mode, text in (
        ("--gpu-only", "gpu-only", "the same as --highvram: text encoders compute on the GPU anyway"),
        ("--highvram", "high", "keep whole models on the GPU until it runs out of memory"),
        ("--normalvram", "normal", "keep what fits beside the computation (the default)"),
        ("--lowvram", "low", "keep a part of a model on the GPU and bring the rest for each call"),
        ("--novram", "no", "keep no weights on the GPU: bring all of them for each call"),
    ):
        modes.add_argument(flag, dest="vram", action="store_const", const=mode, help=text)
    parser.set_defaults(vram="normal")


def configure_device(options: argparse.Namespace) -> None:
    """Follow :func:`device_options` in this process. Raises DeviceError for a device that does not exist."""
    from nodes import device, vram

    device.configure(getattr(options, "device", "auto"), getattr(options, "precision", "auto"))
    vram.configure(getattr(options, "vram", "normal"), getattr(options, "reserve_vram", None))


def cache_options() -> argparse.ArgumentParser:
    """How much of what was computed is kept."""
    parser = argparse.ArgumentParser(add_help=False)
    group = parser.add_argument_group("cache")
    group.add_argument(
        "--cache-ram",
        nargs="?",
        const=_size("4"),
        type=_size,
        default=_size("2"),
        metavar="GB",
        help="memory for results; alone: 4 (default: 2)",
    )
    group.add_argument(
        "--cache-disk", type=_size, default=_size("10"), metavar="GB", help="disk for results; 0 for none (default: 10)"
    )
    group.add_argument("--cache-none", "--no-cache", action="store_true", help="keep nothing between runs")
    group.add_argument(
        "--cache-lru", type=_count, default=0, metavar="N", help="keep N results, in memory only; 0: the default cache"
    )
    group.add_argument(
        "--check-values", action="store_true", help="fail a node that changes a value it was given (for node authors)"
    )
    return parser


def folders_of(options: argparse.Namespace) -> Folders:
    """The folders that the options ask for. Raises InputFileError for a bad extra-model-paths file."""
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
    """The nodes, people's own among them, for the device and precision that the options ask for."""
    registry, _ = registry_and_packs_of(options, folders)
    return registry


def registry_and_packs_of(options: argparse.Namespace, folders: Folders) -> tuple[Registry, CustomNodes]:
    """The nodes, and how the packs in custom_nodes/ fared."""
    import nodes
    import server
    from nodes.packs.loading import CustomNodes, load_custom_nodes
    from nodes.packs.record import ImportRecord

    logging.basicConfig(
        level=logging.INFO if getattr(options, "verbose", False) else logging.WARNING,
        format="%(levelname)s %(name)s: %(message)s",
    )
    configure_device(options)
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
    """A text that differs when the nodes may: other options, or code of Sumi's or a pack's that has changed."""
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
    """The engine with the cache that the options ask for."""
    from graph import CacheSettings, Engine

    in_memory_only = options.cache_lru > 0 or options.cache_disk == 0
    settings = CacheSettings(
        memory_bytes=options.cache_ram,
        disk=None if in_memory_only else folders.user / "cache",
        disk_bytes=options.cache_disk,
        lru=options.cache_lru or None,
        enabled=not options.cache_none,
    )
    return Engine(registry, folders=folders, cache=settings, check_values=options.check_values)


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
