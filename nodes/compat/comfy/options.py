"""``comfy.options``: whether ComfyUI reads the command line. Sumi has read its own before packs are imported."""

args_parsing = False


def enable_args_parsing(enable: bool = True) -> None:
    """Set ``args_parsing``, which has no effect in Sumi."""
    global args_parsing
    args_parsing = enable
