"""Inputs of ``comfy_api.latest.io`` that are choices, of several types, or groups of inputs."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import Any

from nodes.compat.comfy_api.latest._io_options import FolderType, RemoteOptions, UploadType
from nodes.compat.comfy_api.latest._io_types import (
    AnyType,
    ComfyTypeI,
    ComfyTypeIO,
    Input,
    Output,
    WidgetInput,
    comfytype,
)


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
        super().__init__(id, display_name, optional, tooltip, lazy, **more)
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
    """Inputs and outputs that share any one type."""

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
    """A growing group of inputs: as many as are linked. ``execute`` gets a dict of them."""

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
    """A choice that determines further inputs. ``execute`` gets a dict: the choice under the input's
    own id, and those inputs."""

    Type = dict[str, Any]
    Option = _Option
    Input = _DynamicComboInput
