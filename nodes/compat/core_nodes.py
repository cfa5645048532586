"""What packs find in ComfyUI's ``nodes``: the mappings, and Sumi's nodes as classes that can be called.

``NODE_CLASS_MAPPINGS`` holds every node, the packs' own as they are loaded. A pack that puts another class
there in place of a node replaces that node (:func:`replaced`).
"""

from __future__ import annotations

import os
import secrets
from typing import Any, Final

from graph.errors import InputFileError
from graph.node_types.describe import describe
from graph.results import NodeResult
from graph.schema import NodeType
from nodes.compat import folder_paths
from nodes.compat.method_names import METHODS, ORDERS
from nodes.compat.running import check_interrupted, interrupt, running_node
from nodes.compat.values import from_pack, to_pack

MAX_RESOLUTION: Final = 16384

NODE_CLASS_MAPPINGS: dict[str, type] = {}
NODE_DISPLAY_NAME_MAPPINGS: dict[str, str] = {}
EXTENSION_WEB_DIRS: dict[str, str] = {}
LOADED_MODULE_DIRS: dict[str, str] = {}

_own: dict[str, type] = {}
"""Class name → the class that stands for Sumi's node."""


class CoreNode:
    """A node of Sumi's as packs call it: an object with the method that its class's ``FUNCTION`` names.

    The method takes the inputs by name, or in the order of ComfyUI's, and returns a tuple or ``{"ui", "result"}``.
    """

    node_type: NodeType

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, as packs declare theirs."""
        groups = describe(cls.node_type, _names)["input"]
        return {group: {name: _spec(spec) for name, spec in inputs.items()} for group, inputs in groups.items()}

    def __call__(self, *values: Any, **inputs: Any) -> Any:
        node_type = type(self).node_type
        names = ORDERS.get(node_type.name) or [declared.name for declared in node_type.inputs]
        inputs = dict(zip(names, values, strict=False)) | inputs
        arguments: dict[str, Any] = {}
        for declared in node_type.inputs:
            if declared.name in inputs:
                arguments[declared.parameter or declared.name] = from_pack(inputs[declared.name])
        for parameter in node_type.hidden:
            arguments[parameter] = inputs.get(parameter)
        if node_type.context_parameter is not None:
            arguments[node_type.context_parameter] = running_node(f"{node_type.name} can be called")
        returned = node_type.function(**arguments)
        return _as_pack_result(returned, node_type)


def stand_in(node_type: NodeType) -> type:
    """A class that stands for ``node_type``."""
    method = METHODS.get(node_type.name, "execute")
    return type(
        node_type.name,
        (CoreNode,),
        {
            "__doc__": node_type.description,
            "__module__": "nodes",
            "node_type": node_type,
            "FUNCTION": method,
            "execute": CoreNode.__call__,
            method: CoreNode.__call__,
            "RETURN_TYPES": tuple(output.type for output in node_type.outputs),
            "RETURN_NAMES": tuple(output.name for output in node_type.outputs),
            "OUTPUT_IS_LIST": tuple(output.is_list for output in node_type.outputs),
            "INPUT_IS_LIST": node_type.input_is_list,
            "OUTPUT_NODE": node_type.output_node,
            "CATEGORY": node_type.category,
            "DESCRIPTION": node_type.description,
        },
    )


def register(name: str, node_class: type, display_name: str | None = None) -> None:
    """Let packs find a pack's node."""
    NODE_CLASS_MAPPINGS[name] = node_class
    if display_name is not None:
        NODE_DISPLAY_NAME_MAPPINGS[name] = display_name


def replaced() -> dict[str, type]:
    """Sumi's nodes in whose place packs have put classes of their own."""
    now = {name: NODE_CLASS_MAPPINGS.get(name, own) for name, own in _own.items()}
    return {name: node_class for name, node_class in now.items() if node_class is not _own[name]}


def own_names() -> frozenset[str]:
    """The names of Sumi's nodes."""
    if not _own:
        _register_own()
    return frozenset(_own)


def provided(name: str) -> Any:
    """What ``nodes.name`` is to a pack; None if there is no such thing."""
    if not _own:
        _register_own()
    if name in _NAMES:
        return globals()[name]
    if name == "folder_paths":
        return folder_paths
    return NODE_CLASS_MAPPINGS.get(name)


def _register_own() -> None:
    """Classes of Sumi's nodes are made when the first pack looks for them."""
    from nodes.rooms import registry

    for name, node_type in registry().items():
        node_class: Any = _SAVING.get(name) or stand_in(node_type)
        node_class.node_type = node_type
        _own[name] = node_class
        NODE_CLASS_MAPPINGS.setdefault(name, node_class)
        if node_type.display_name:
            NODE_DISPLAY_NAME_MAPPINGS.setdefault(name, node_type.display_name)


# -- functions of that module ------------------------------------------------------------------------------------


def common_ksampler(
    model: Any,
    seed: int,
    steps: int,
    cfg: float,
    sampler_name: str,
    scheduler: str,
    positive: Any,
    negative: Any,
    latent: Any,
    denoise: float = 1.0,
    disable_noise: bool = False,
    start_step: int | None = None,
    last_step: int | None = None,
    force_full_denoise: bool = False,
) -> tuple[Any]:
    """A sampling run with all that both KSamplers can say; the LATENT in a tuple."""
    from nodes.sampling.sample_latent import sample_latent, schedule_for
    from nodes.sampling.schedules import cut

    context = running_node("common_ksampler can be called")
    model = from_pack(model)
    sigmas = schedule_for(model, sampler_name, scheduler, steps, denoise)
    sigmas = cut(sigmas, start_step, last_step, to_zero=force_full_denoise)
    result = sample_latent(
        context,
        model,
        sigmas,
        seed=seed,
        sampler_name=sampler_name,
        scale=cfg,
        positive=positive,
        negative=negative,
        latent=latent,
        add_noise=not disable_noise,
    )
    return (result,)


before_node_execution = check_interrupted
interrupt_processing = interrupt


def get_module_name(module_path: str) -> str:
    """The name of the pack in that file or folder."""
    name = os.path.basename(os.path.normpath(module_path))
    return os.path.splitext(name)[0] if os.path.isfile(module_path) else name


# -- saving: packs derive from these, and set where and how ------------------------------------------------------


class SaveImage(CoreNode):
    """Saves pictures. ``type`` is output or temp, ``prefix_append`` is put behind the prefix."""

    RETURN_TYPES = ()
    FUNCTION = "save_images"
    OUTPUT_NODE = True
    CATEGORY = "image"

    def __init__(self) -> None:
        self.output_dir = folder_paths.get_output_directory()
        self.type = "output"
        self.prefix_append = ""
        self.compress_level = 4

    def save_images(
        self, images: Any, filename_prefix: str = "ComfyUI", prompt: Any = None, extra_pnginfo: Any = None
    ) -> dict[str, Any]:
        """Save each picture of ``images`` [B, H, W, C]; what to show of them."""
        from nodes.pictures.saving import save_png

        saved = save_png(
            running_node("pictures are saved"),
            images,
            prefix=filename_prefix + self.prefix_append,
            folder="temp" if self.type == "temp" else "output",
            compress_level=self.compress_level,
            prompt=prompt,
            extra_pnginfo=extra_pnginfo,
        )
        return {"ui": {"images": [file.as_ui() for file in saved]}}


class PreviewImage(SaveImage):
    """Saves pictures in the temp folder."""

    def __init__(self) -> None:
        super().__init__()
        self.output_dir = folder_paths.get_temp_directory()
        self.type = "temp"
        self.prefix_append = f"_temp_{secrets.token_hex(4)}"
        self.compress_level = 1

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """Pictures, and what is written into them."""
        hidden = {"prompt": "PROMPT", "extra_pnginfo": "EXTRA_PNGINFO"}
        return {"required": {"images": ("IMAGE",)}, "hidden": hidden}


_SAVING: Final[dict[str, Any]] = {"SaveImage": SaveImage, "PreviewImage": PreviewImage}

_NAMES: Final = frozenset(
    {
        "EXTENSION_WEB_DIRS",
        "LOADED_MODULE_DIRS",
        "MAX_RESOLUTION",
        "NODE_CLASS_MAPPINGS",
        "NODE_DISPLAY_NAME_MAPPINGS",
        "before_node_execution",
        "common_ksampler",
        "get_module_name",
        "interrupt_processing",
    }
)


def _names(folder: str) -> list[str]:
    try:
        if folder in ("input", "output", "temp"):
            return sorted(os.listdir(folder_paths.get_directory_by_type(folder) or ""))
        return folder_paths.get_filename_list(folder)
    except (OSError, KeyError, InputFileError):  # no such folder in this installation: it holds nothing
        return []


def _spec(spec: Any) -> Any:
    return tuple(spec) if isinstance(spec, list) else spec


def _as_pack_result(returned: Any, node_type: NodeType) -> Any:
    """What a class-style node would have returned."""
    if isinstance(returned, NodeResult):
        values = tuple(map(to_pack, returned.values))
        return {"ui": dict(returned.ui), "result": values} if returned.ui is not None else values
    if not node_type.outputs:
        return ()
    if isinstance(returned, tuple) and (len(node_type.outputs) > 1 or hasattr(returned, "_fields")):
        return tuple(map(to_pack, returned))
    return (to_pack(returned),)
