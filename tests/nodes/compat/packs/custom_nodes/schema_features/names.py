"""Names that packs import now and then, mostly for type checkers."""

from comfy.comfy_types import UnetApplyFunction, UnetParams, UnetWrapperFunction
from comfy.utils import safetensors_header, weight_dtype
from comfy_api.input.basic_types import AudioInput, ImageInput
from comfy_api.input.video_types import VideoInput

NAMES = (
    *(UnetApplyFunction, UnetParams, UnetWrapperFunction, safetensors_header, weight_dtype),
    *(AudioInput, ImageInput, VideoInput),
)
