"""Types of ``comfy_api.latest.io``. A type (``io.Image``, ``io.Int``) has an ``Input`` and an ``Output``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

C = TypeVar("C", bound=type[Any])


class Input:
    """An input. Further arguments of a type's ``Input`` become options for the editor."""

    io_type = "*"
    renamed: Mapping[str, str] = {
        "raw_link": "rawLink",
        "force_input": "forceInput",
        "dynamic_prompts": "dynamicPrompts",
        "display_mode": "display",
    }
    """Argument → option, where they differ."""
    positional: tuple[str, ...] = ()
    """Options that can be positional arguments, after the arguments that every input has."""

    def __init__(
        self,
        id: str,
        display_name: str | None = None,
        optional: bool = False,
        tooltip: str | None = None,
        lazy: bool | None = None,
        *values: Any,
        extra_dict: Mapping[str, Any] | None = None,
        **options: Any,
    ):
        self.id = id
        self.display_name = display_name
        self.optional = optional
        self.tooltip = tooltip
        self.lazy = lazy
        self.extra_dict = dict(extra_dict or {})
        self.options = {**dict(zip(self.positional, values, strict=False)), **options}

    def get_io_type(self) -> str:
        """Return the socket's type."""
        return self.io_type

    def as_dict(self) -> dict[str, Any]:
        """Return the options, as class-style nodes declare theirs."""
        facts = {"display_name": self.display_name, "tooltip": self.tooltip, "lazy": self.lazy, **self.options}
        named = {self.renamed.get(name, name): value for name, value in facts.items() if value is not None}
        return {**named, **self.extra_dict}


class WidgetInput(Input):
    """An input that is entered on the node."""


class Output:
    """An output."""

    io_type = "*"

    def __init__(
        self,
        id: str | None = None,
        display_name: str | None = None,
        tooltip: str | None = None,
        is_output_list: bool = False,
        **options: Any,
    ):
        self.id = id
        self.display_name = display_name
        self.tooltip = tooltip
        self.is_output_list = is_output_list
        self.options = options

    def get_io_type(self) -> str:
        """Return the socket's type."""
        return self.io_type


class ComfyTypeI:
    """A type that only inputs have."""

    io_type = "*"
    Type: Any = Any
    Input: type[Input] = Input


class ComfyTypeIO(ComfyTypeI):
    """A type that inputs and outputs have."""

    Output: type[Output] = Output


def comfytype(io_type: str, **_: Any) -> Callable[[C], C]:
    """Set the type ``io_type`` of a class, and add its ``Input`` and ``Output``."""

    def decorate(cls: C) -> C:
        cls.io_type = io_type
        for part in ("Input", "Output"):
            base = getattr(cls, part, None)
            if base is not None:
                setattr(cls, part, type(part, (base,), {"io_type": io_type, "Parent": cls}))
        return cls

    return decorate


def Custom(io_type: str) -> type[ComfyTypeIO]:
    """A type of the pack's own."""
    return comfytype(io_type)(type(io_type, (ComfyTypeIO,), {}))


def _widget(io_type: str, python_type: Any, *positional: str) -> type[ComfyTypeIO]:
    with_values = type("Input", (WidgetInput,), {"positional": positional})
    return comfytype(io_type)(type(io_type, (ComfyTypeIO,), {"Input": with_values, "Type": python_type}))


Int = _widget("INT", int, "default", "min", "max", "step", "control_after_generate", "display_mode")
Float = _widget("FLOAT", float, "default", "min", "max", "step", "round", "display_mode")
String = _widget("STRING", str, "multiline", "placeholder", "default", "dynamic_prompts")
Boolean = _widget("BOOLEAN", bool, "default", "label_on", "label_off")
Color = _widget("COLOR", str)
BoundingBox = _widget("BOUNDING_BOX", dict)

Image = Custom("IMAGE")
Mask = Custom("MASK")
Latent = Custom("LATENT")
Conditioning = Custom("CONDITIONING")
Model = Custom("MODEL")
Clip = Custom("CLIP")
Vae = Custom("VAE")
ControlNet = Custom("CONTROL_NET")
Sampler = Custom("SAMPLER")
Sigmas = Custom("SIGMAS")
Noise = Custom("NOISE")
Guider = Custom("GUIDER")
ClipVision = Custom("CLIP_VISION")
ClipVisionOutput = Custom("CLIP_VISION_OUTPUT")
StyleModel = Custom("STYLE_MODEL")
Gligen = Custom("GLIGEN")
UpscaleModel = Custom("UPSCALE_MODEL")
LatentUpscaleModel = Custom("LATENT_UPSCALE_MODEL")
Audio = Custom("AUDIO")
AudioRecord = Custom("AUDIO_RECORD")
AudioEncoder = Custom("AUDIO_ENCODER")
AudioEncoderOutput = Custom("AUDIO_ENCODER_OUTPUT")
Video = Custom("VIDEO")
SVG = Custom("SVG")
LoraModel = Custom("LORA_MODEL")
LossMap = Custom("LOSS_MAP")
Hooks = Custom("HOOKS")
HookKeyframes = Custom("HOOK_KEYFRAMES")
TimestepsRange = Custom("TIMESTEPS_RANGE")
LatentOperation = Custom("LATENT_OPERATION")
FlowControl = Custom("FLOW_CONTROL")
Accumulation = Custom("ACCUMULATION")
ModelPatch = Custom("MODEL_PATCH")
Tracks = Custom("TRACKS")
Mesh = Custom("MESH")
Voxel = Custom("VOXEL")
Load3D = Custom("LOAD_3D")
Load3DCamera = Custom("LOAD3D_CAMERA")
Load3DAnimation = Custom("LOAD_3D_ANIMATION")
Point = Custom("POINT")
Webcam = Custom("WEBCAM")
FaceAnalysis = Custom("FACE_ANALYSIS")
BBOX = Custom("BBOX")
SEGS = Custom("SEGS")
WanCameraEmbedding = Custom("WAN_CAMERA_EMBEDDING")
Photomaker = Custom("PHOTOMAKER")
AnyType = Custom("*")
