"""``comfy_api.latest.io``: what a schema-style node is made of.

A type (``io.Image``, ``io.Int``) has an ``Input`` and an ``Output``; a node's ``define_schema`` puts these into a
:class:`Schema`, and its ``execute`` returns a :class:`NodeOutput`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from enum import Enum, StrEnum
from typing import Any, TypeVar

from graph.results import Blocked

C = TypeVar("C", bound=type)


class NumberDisplay(StrEnum):
    """How a number's widget looks."""

    number = "number"
    slider = "slider"
    gradient_slider = "gradientslider"


class ControlAfterGenerate(StrEnum):
    """What the editor does with a seed after each run."""

    fixed = "fixed"
    increment = "increment"
    decrement = "decrement"
    randomize = "randomize"


class UploadType(StrEnum):
    """The option that gives a choice of files an upload button."""

    image = "image_upload"
    audio = "audio_upload"
    video = "video_upload"
    model = "file_upload"


class FolderType(StrEnum):
    """The folders of pictures."""

    input = "input"
    output = "output"
    temp = "temp"


class Hidden(StrEnum):
    """What a node may ask for besides its inputs; it is found in ``cls.hidden``."""

    unique_id = "UNIQUE_ID"
    prompt = "PROMPT"
    extra_pnginfo = "EXTRA_PNGINFO"
    dynprompt = "DYNPROMPT"
    auth_token_comfy_org = "AUTH_TOKEN_COMFY_ORG"
    api_key_comfy_org = "API_KEY_COMFY_ORG"


class RemoteOptions:
    """Choices that the editor fetches from ``route``."""

    def __init__(self, route: str, refresh_button: bool = True, **options: Any):
        self._options = {"route": route, "refresh_button": refresh_button, **options}

    def as_dict(self) -> dict[str, Any]:
        """The ``remote`` option."""
        return {name: str(v) if isinstance(v, Enum) else v for name, v in self._options.items() if v is not None}


# -- inputs and outputs ------------------------------------------------------------------------------------------


class Input:
    """An input. What further arguments a type's ``Input`` takes become options that the editor is told."""

    io_type = "*"
    renamed: Mapping[str, str] = {
        "raw_link": "rawLink",
        "force_input": "forceInput",
        "dynamic_prompts": "dynamicPrompts",
        "display_mode": "display",
    }
    """Argument → option, where they differ."""

    def __init__(
        self,
        id: str,
        display_name: str | None = None,
        optional: bool = False,
        tooltip: str | None = None,
        lazy: bool | None = None,
        extra_dict: Mapping[str, Any] | None = None,
        **options: Any,
    ):
        self.id = id
        self.display_name = display_name
        self.optional = optional
        self.tooltip = tooltip
        self.lazy = lazy
        self.extra_dict = dict(extra_dict or {})
        self.options = options

    def get_io_type(self) -> str:
        """The socket's type."""
        return self.io_type

    def as_dict(self) -> dict[str, Any]:
        """The options, as class-style nodes declare theirs."""
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
        """The socket's type."""
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
    """Give a class the type ``io_type``, and with it its ``Input`` and ``Output``."""

    def decorate(cls: C) -> C:
        cls.io_type = io_type  # type: ignore[attr-defined]
        for part in ("Input", "Output"):
            base = getattr(cls, part, None)
            if base is not None:
                setattr(cls, part, type(part, (base,), {"io_type": io_type, "Parent": cls}))
        return cls

    return decorate


def Custom(io_type: str) -> type[ComfyTypeIO]:
    """A type of the pack's own."""
    return comfytype(io_type)(type(io_type, (ComfyTypeIO,), {}))


def _widget(io_type: str, python_type: Any) -> type[ComfyTypeIO]:
    return comfytype(io_type)(type(io_type, (ComfyTypeIO,), {"Input": WidgetInput, "Type": python_type}))


Int = _widget("INT", int)
Float = _widget("FLOAT", float)
String = _widget("STRING", str)
Boolean = _widget("BOOLEAN", bool)
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
FaceAnalysis = Custom("FACE_ANALYSIS")
BBOX = Custom("BBOX")
SEGS = Custom("SEGS")
WanCameraEmbedding = Custom("WAN_CAMERA_EMBEDDING")
Photomaker = Custom("PHOTOMAKER")
AnyType = Custom("*")


class _ComboInput(WidgetInput):
    def __init__(
        self,
        id: str,
        options: Sequence[Any] | type[Enum] | None = None,
        display_name: str | None = None,
        optional: bool = False,
        tooltip: str | None = None,
        lazy: bool | None = None,
        default: Any = None,
        control_after_generate: Any = None,
        upload: UploadType | None = None,
        image_folder: FolderType | None = None,
        remote: RemoteOptions | None = None,
        **more: Any,
    ):
        if isinstance(options, type) and issubclass(options, Enum):
            options = [member.value for member in options]
        super().__init__(id, display_name, optional, tooltip, lazy, more.pop("extra_dict", None), **more)
        self.options |= {
            "options": options,
            "default": default.value if isinstance(default, Enum) else default,
            "control_after_generate": control_after_generate,
            "image_folder": str(image_folder) if image_folder is not None else None,
            "remote": remote.as_dict() if remote is not None else None,
        }
        if upload is not None:
            self.options[str(upload)] = True


class _MultiComboInput(_ComboInput):
    def as_dict(self) -> dict[str, Any]:
        return {"multiselect": True, **super().as_dict()}


@comfytype(io_type="COMBO")
class Combo(ComfyTypeIO):
    """A choice."""

    Type = str
    Input = _ComboInput


@comfytype(io_type="COMBO")
class MultiCombo(ComfyTypeI):
    """A choice of several."""

    Type = list[str]
    Input = _MultiComboInput


class _MultiTypeInput(Input):
    def __init__(self, id: str | Input, types: Sequence[Any], **more: Any):
        self.widget = id if isinstance(id, Input) else None
        if isinstance(id, Input):
            more = {"display_name": id.display_name, "optional": id.optional, "tooltip": id.tooltip, **more}
            id = id.id
        super().__init__(id, **more)
        self.types = list(types)

    def get_io_type(self) -> str:
        names = [kind if isinstance(kind, str) else kind.io_type for kind in self.types]
        if self.widget is not None:
            names.insert(0, self.widget.get_io_type())
        return ",".join(dict.fromkeys(names))

    def as_dict(self) -> dict[str, Any]:
        widget = {**self.widget.as_dict(), "widgetType": self.widget.get_io_type()} if self.widget else {}
        return {**widget, **super().as_dict()}


class MultiType(ComfyTypeI):
    """An input of several types."""

    Input = _MultiTypeInput


class _Template:
    def __init__(self, template_id: str, allowed_types: Any = None):
        self.template_id = template_id
        types: list[Any] = [allowed_types] if isinstance(allowed_types, type) else list(allowed_types or [AnyType])
        self.allowed_types = types

    def as_dict(self) -> dict[str, Any]:
        names = ",".join(kind.io_type for kind in self.allowed_types)
        return {"template_id": self.template_id, "allowed_types": names}

    @property
    def io_type(self) -> str:
        return ",".join(kind.io_type for kind in self.allowed_types)


class _MatchInput(Input):
    def __init__(self, id: str, template: _Template, **more: Any):
        super().__init__(id, **more)
        self.template = template

    def get_io_type(self) -> str:
        return self.template.io_type


class _MatchOutput(Output):
    def __init__(self, template: _Template, **more: Any):
        super().__init__(**more)
        self.template = template

    def get_io_type(self) -> str:
        return self.template.io_type


class MatchType(ComfyTypeIO):
    """Inputs and outputs of one type, whichever it is."""

    Template = _Template
    Input = _MatchInput
    Output = _MatchOutput


class _TemplatePrefix:
    def __init__(self, input: Input, prefix: str, min: int = 1, max: int = 10):
        self.input, self.min = input, min
        self.names = [f"{prefix}{number}" for number in range(max)]
        self.facts = {"prefix": prefix, "min": min, "max": max}


class _TemplateNames:
    def __init__(self, input: Input, names: Sequence[str], min: int = 1):
        self.input, self.min = input, min
        self.names = list(names)
        self.facts = {"names": self.names, "min": min}


class _AutogrowInput(Input):
    def __init__(self, id: str, template: _TemplatePrefix | _TemplateNames, **more: Any):
        super().__init__(id, **more)
        self.template = template


@comfytype(io_type="COMFY_AUTOGROW_V3")
class Autogrow(ComfyTypeI):
    """As many inputs as are linked. ``execute`` gets a dict of them."""

    Type = dict[str, Any]
    TemplatePrefix = _TemplatePrefix
    TemplateNames = _TemplateNames
    Input = _AutogrowInput


class _Option:
    def __init__(self, key: str, inputs: Sequence[Input]):
        self.key, self.inputs = key, list(inputs)


class _DynamicComboInput(Input):
    def __init__(self, id: str, options: Sequence[_Option], **more: Any):
        super().__init__(id, **more)
        self.choices = list(options)


@comfytype(io_type="COMFY_DYNAMICCOMBO_V3")
class DynamicCombo(ComfyTypeI):
    """A choice that says which further inputs there are. ``execute`` gets a dict: the choice under the input's
    own id, and those inputs."""

    Type = dict[str, Any]
    Option = _Option
    Input = _DynamicComboInput


# -- nodes -------------------------------------------------------------------------------------------------------


class Schema:
    """What a node is. Options of later versions are kept and of no consequence."""

    def __init__(
        self,
        node_id: str,
        display_name: str | None = None,
        category: str = "sd",
        inputs: Sequence[Input] | None = None,
        outputs: Sequence[Output] | None = None,
        hidden: Sequence[Hidden] | None = None,
        description: str = "",
        is_input_list: bool = False,
        is_output_node: bool = False,
        is_deprecated: bool = False,
        is_experimental: bool = False,
        is_api_node: bool = False,
        not_idempotent: bool = False,
        enable_expand: bool = False,
        accept_all_inputs: bool = False,
        **later: Any,
    ):
        self.node_id = node_id
        self.display_name = display_name
        self.category = category
        self.inputs = list(inputs or ())
        self.outputs = list(outputs or ())
        self.hidden = list(hidden or ())
        self.description = description
        self.is_input_list = is_input_list
        self.is_output_node = is_output_node
        self.is_deprecated = is_deprecated
        self.is_experimental = is_experimental
        self.is_api_node = is_api_node
        self.not_idempotent = not_idempotent
        self.enable_expand = enable_expand
        self.accept_all_inputs = accept_all_inputs
        self.later = later


hidden_values: ContextVar[Mapping[str, Any]] = ContextVar("hidden inputs of the running node")


class _HiddenHolder:
    """``cls.hidden``: what the node asked for, while it runs."""

    def __getattr__(self, name: str) -> Any:
        if name in Hidden.__members__:
            return hidden_values.get({}).get(name)
        raise AttributeError(name)


class NodeOutput:
    """What ``execute`` returns: values, what to show, a graph to run in the node's place, or why it stops here."""

    def __init__(
        self,
        *args: Any,
        ui: Any = None,
        expand: Mapping[str, Any] | None = None,
        block_execution: str | None = None,
    ):
        self.args = args
        self.ui = ui
        self.expand = expand
        self.block_execution = block_execution

    @property
    def result(self) -> tuple[Any, ...] | None:
        """The values, None if there are none."""
        return self.args or None

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> NodeOutput:
        """From what class-style nodes return."""
        result = data.get("result")
        if isinstance(result, Blocked):
            return cls(ui=data.get("ui"), expand=data.get("expand"), block_execution=result.message)
        return cls(*(result or ()), ui=data.get("ui"), expand=data.get("expand"))

    def as_dict(self) -> dict[str, Any]:
        """As class-style nodes return it."""
        facts = {"result": self.result, "ui": ui_dict(self.ui), "expand": self.expand}
        return {name: fact for name, fact in facts.items() if fact is not None}


def ui_dict(ui: Any) -> Any:
    """What to show, as a dict of lists."""
    return ui.as_dict() if hasattr(ui, "as_dict") else ui


class ComfyNode:
    """A schema-style node. ``validate_inputs``, ``fingerprint_inputs`` and ``check_lazy_status`` are looked for too."""

    hidden: Any = _HiddenHolder()

    @classmethod
    def define_schema(cls) -> Schema:
        """What the node is."""
        raise NotImplementedError(f"{cls.__name__} has no define_schema")

    @classmethod
    def execute(cls, **kwargs: Any) -> Any:
        """What the node does."""
        raise NotImplementedError(f"{cls.__name__} has no execute")

    @classmethod
    def GET_SCHEMA(cls) -> Schema:
        """The schema, with what every output node asks for."""
        schema = cls.define_schema()
        if schema.is_output_node:
            schema.hidden += [h for h in (Hidden.prompt, Hidden.extra_pnginfo) if h not in schema.hidden]
        return schema

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, as class-style nodes declare theirs."""
        schema = cls.GET_SCHEMA()
        groups: dict[str, Any] = {"required": {}, "optional": {}}
        for declared in schema.inputs:
            group = groups["optional" if declared.optional else "required"]
            group[declared.id] = (declared.get_io_type(), declared.as_dict())
        return {**groups, "hidden": {hidden.name: (hidden.value,) for hidden in schema.hidden}}
