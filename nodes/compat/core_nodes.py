"""The contents of ComfyUI's ``nodes``: the mappings, and Sumi's nodes as classes that can be called.

``NODE_CLASS_MAPPINGS`` holds every node, the packs' own as they are loaded. A pack that puts another class
there instead of a node replaces that node (:func:`replaced`).
"""

from __future__ import annotations

import inspect
import os
import secrets
from collections.abc import Mapping
from typing import Any, Final

from graph.errors import InputFileError, SumiError
from graph.fingerprints import by_content
from graph.node_types.describe import describe
from graph.results import NodeResult
from graph.schema import NodeType
from nodes.compat import folder_paths
from nodes.compat.method_names import METHODS, ORDERS
from nodes.compat.missing.names import CORE_CLASSES, NO_SUCH_NODE
from nodes.compat.missing.stand_ins import stand_in as missing
from nodes.compat.running import check_interrupted, interrupt, running_node
from nodes.compat.values import from_pack, to_pack

MAX_RESOLUTION: Final = 16384


class NoSuchNodeError(SumiError, KeyError):
    """A pack asked for the class of an unknown node. The message names the node."""

    __str__ = Exception.__str__


class _NodeClasses(dict[str, type]):
    def __missing__(self, name: str) -> type:
        raise NoSuchNodeError(
            f"neither Sumi nor a node pack has the node '{name}'; install the pack that it comes from"
        )


NODE_CLASS_MAPPINGS: dict[str, type] = _NodeClasses()
NODE_DISPLAY_NAME_MAPPINGS: dict[str, str] = {}
EXTENSION_WEB_DIRS: dict[str, str] = {}
LOADED_MODULE_DIRS: dict[str, str] = {}

_own: dict[str, type] = {}
"""Class name → the class that represents Sumi's node."""


class CoreResult(tuple[Any, ...]):
    """The values that a node returned. ``result`` and ``args`` are for packs that expect a ``NodeOutput``."""

    ui: Any = None

    @property
    def result(self) -> tuple[Any, ...]:
        """Return the values."""
        return tuple(self)

    args = result


class _Method:
    """A node's method, for its objects and, as newer nodes have it, for its class."""

    def __get__(self, instance: CoreNode | None, owner: type[CoreNode]) -> Any:
        def call(*values: Any, **inputs: Any) -> Any:
            if instance is not None:
                return CoreNode.__call__(instance, *values, **inputs)
            if values and isinstance(values[0], CoreNode):  # Class.method(object, …)
                return CoreNode.__call__(*values, **inputs)
            return CoreNode.__call__(owner(), *values, **inputs)

        return call


class CoreNode:
    """One of Sumi's nodes as packs call it: an object with the method that its class's ``FUNCTION`` names.

    The method takes the inputs by name, or in the order of ComfyUI's, and returns a tuple or ``{"ui", "result"}``.
    """

    node_type: NodeType
    loaded_lora: Any = None
    """The file that ComfyUI's LoraLoader remembers; packs clear it."""
    loaded_lora_path: Any = None

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """Return the inputs, as packs declare theirs."""
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
    """Return a class that represents ``node_type``."""
    method = METHODS.get(node_type.name, "execute")
    return type(
        node_type.name,
        (CoreNode,),
        {
            **_choice_lists(node_type),
            **_checks(node_type),
            "__doc__": node_type.description,
            "__module__": "nodes",
            "node_type": node_type,
            "FUNCTION": method,
            "execute": _Method(),
            method: _Method(),
            "RETURN_TYPES": tuple(output.type for output in node_type.outputs),
            "RETURN_NAMES": tuple(output.name for output in node_type.outputs),
            "OUTPUT_IS_LIST": tuple(output.is_list for output in node_type.outputs),
            "INPUT_IS_LIST": node_type.input_is_list,
            "OUTPUT_NODE": node_type.output_node,
            "CATEGORY": node_type.category,
            "DESCRIPTION": node_type.description,
        },
    )


_LISTS: Final = {"upscale_methods": "upscale_method", "crop_methods": "crop", "methods": "method"}
"""Attributes of ComfyUI's classes with the choices of an input, and that input."""


def _choice_lists(node_type: NodeType) -> dict[str, Any]:
    inputs = {declared.name: declared for declared in node_type.inputs}
    lists: dict[str, Any] = {
        attribute: list(choices)
        for attribute, name in _LISTS.items()
        if name in inputs and (choices := inputs[name].choices)
    }
    if node_type.name == "VAELoader":
        lists["vae_list"] = staticmethod(
            lambda *_: list(NODE_CLASS_MAPPINGS["VAELoader"].INPUT_TYPES()["required"]["vae_name"][0])
        )
    return lists


def _checks(node_type: NodeType) -> dict[str, Any]:
    """``IS_CHANGED`` and ``VALIDATE_INPUTS`` of a node that reads files: packs call them, and inherit them."""
    made: dict[str, Any] = {}
    if (fingerprint := node_type.fingerprint) is not None:
        made["IS_CHANGED"] = classmethod(lambda cls, **inputs: by_content(_asked(fingerprint, inputs)))
    if (validate := node_type.validate) is not None:
        names = [name for name in inspect.signature(validate).parameters if name != "folders"]

        def verdict(cls: type, **inputs: Any) -> Any:
            return _asked(validate, inputs)

        own: Any = verdict
        own.__signature__ = inspect.Signature(
            [inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD) for name in ("cls", *names)]
        )
        made["VALIDATE_INPUTS"] = classmethod(own)
    return made


def _asked(function: Any, inputs: Mapping[str, Any]) -> Any:
    """Call ``function`` with the ``inputs`` that it takes."""
    known = {**inputs, "folders": folder_paths.folders()}
    return function(**{name: known[name] for name in inspect.signature(function).parameters if name in known})


def register(name: str, node_class: type, display_name: str | None = None) -> None:
    """Let packs find a pack's node."""
    NODE_CLASS_MAPPINGS[name] = node_class
    if display_name is not None:
        NODE_DISPLAY_NAME_MAPPINGS[name] = display_name


def replaced() -> dict[str, type]:
    """Return the classes with which packs have replaced Sumi's nodes."""
    now = {name: NODE_CLASS_MAPPINGS.get(name, own) for name, own in _own.items()}
    return {name: node_class for name, node_class in now.items() if node_class is not _own[name]}


def own_names() -> frozenset[str]:
    """Return the names of Sumi's nodes."""
    if not _own:
        _register_own()
    return frozenset(_own)


def provided(name: str) -> Any:
    """Return the object that packs find as ``nodes.name``; None if there is none."""
    if not _own:
        _register_own()
    if name in _NAMES:
        return globals()[name]
    if name in NODE_CLASS_MAPPINGS:
        return NODE_CLASS_MAPPINGS[name]
    if name in CORE_CLASSES.split():
        return missing(f"nodes.{name}", NO_SUCH_NODE)
    return None


def _register_own() -> None:
    """Register the classes of Sumi's nodes, when the first pack looks for them."""
    from nodes.rooms import registry

    for name, node_type in registry().items():
        node_class: Any = _SAVING.get(name) or stand_in(node_type)
        node_class.node_type = node_type
        node_class.DESCRIPTION = node_type.description
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
    """Run with the options of both KSamplers, and return the LATENT in a tuple."""
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
    """Return the name of the pack in that file or folder."""
    name = os.path.basename(os.path.normpath(module_path))
    return os.path.splitext(name)[0] if os.path.isfile(module_path) else name


# -- saving: packs derive from these, and set where and how ------------------------------------------------------


class SaveImage(CoreNode):
    """Saves pictures. ``type`` is output or temp, ``prefix_append`` is appended to the prefix."""

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
        """Save each picture of ``images`` [B, H, W, C], and return what to show."""
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
        """Return the inputs: pictures, and the data written into them."""
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
    except (OSError, KeyError, InputFileError):  # this installation has no such folder: the list is empty
        return []


def _spec(spec: Any) -> Any:
    return tuple(spec) if isinstance(spec, list) else spec


def _as_pack_result(returned: Any, node_type: NodeType) -> Any:
    """Return a result in the form of a class-style node."""
    if isinstance(returned, NodeResult):
        values = CoreResult(map(to_pack, returned.values))
        return {"ui": dict(returned.ui), "result": values} if returned.ui is not None else values
    if not node_type.outputs:
        return CoreResult()
    if isinstance(returned, tuple) and (len(node_type.outputs) > 1 or hasattr(returned, "_fields")):
        return CoreResult(map(to_pack, returned))
    return CoreResult((to_pack(returned),))
