"""Words of ``comfy_api.latest.io`` for what inputs look like and what nodes may ask for."""

from __future__ import annotations

from enum import Enum, StrEnum
from typing import Any


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
