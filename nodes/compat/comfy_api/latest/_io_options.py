"""Options of ``comfy_api.latest.io`` for the look of inputs and for hidden inputs."""

from __future__ import annotations

from enum import Enum, StrEnum
from typing import Any


class NumberDisplay(StrEnum):
    """The look of a number's widget."""

    number = "number"
    slider = "slider"
    gradient_slider = "gradientslider"


class ControlAfterGenerate(StrEnum):
    """The editor's change of a seed after each run."""

    fixed = "fixed"
    increment = "increment"
    decrement = "decrement"
    randomize = "randomize"


class UploadType(StrEnum):
    """The option that adds an upload button to a choice of files."""

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
    """The hidden inputs that a node may ask for; it finds them in ``cls.hidden``."""

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
        """Return the ``remote`` option."""
        return {name: str(v) if isinstance(v, Enum) else v for name, v in self._options.items() if v is not None}
