"""Lists of any values, blockers, and every way to accept and return lists."""

from comfy_execution.graph_utils import ExecutionBlocker

from .variants import takes_variants

ANY_FIVE = {f"value{number}": ("*",) for number in range(2, 6)}


@takes_variants
class MakeList:
    CATEGORY = "flow"
    FUNCTION = "make"
    RETURN_TYPES = ("*",)
    OUTPUT_IS_LIST = (True,)

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"value1": ("*",)}, "optional": dict(ANY_FIVE)}

    def make(self, **values):
        return ([values[name] for name in sorted(values)],)


@takes_variants
class Stop:
    """Blocks, silently or not."""

    CATEGORY = "flow"
    FUNCTION = "stop"
    RETURN_TYPES = ("*",)

    @classmethod
    def INPUT_TYPES(cls):
        return {
            "required": {
                "input": ("*",),
                "block": ("BOOLEAN", {"default": True}),
                "aloud": ("BOOLEAN", {"default": False}),
            }
        }

    def stop(self, input, block, aloud):
        return (ExecutionBlocker("stopped on purpose" if aloud else None) if block else input,)


class Tell:
    """Shows each value that it gets."""

    CATEGORY = "flow"
    FUNCTION = "tell"
    RETURN_TYPES = ()
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"value": ("*",)}}

    @classmethod
    def VALIDATE_INPUTS(cls, input_types):
        return True

    def tell(self, value):
        return {"ui": {"value": [repr(value)]}}


def _list_node(whole_in, list_out):
    class Node:
        CATEGORY = "flow"
        FUNCTION = "go"
        RETURN_TYPES = ("STRING",)
        INPUT_IS_LIST = whole_in
        OUTPUT_IS_LIST = (list_out,)

        @classmethod
        def INPUT_TYPES(cls):
            return {"required": {"a": ("INT",), "b": ("INT", {"default": 0})}}

        def go(self, a, b):
            text = f"{a}+{b}"
            return ([text, text.upper()],) if list_out else (text,)

    return Node


NODES = {
    **{found.__name__: found for found in (MakeList, Stop, Tell)},
    **{
        f"List{'In' if whole_in else ''}{'Out' if list_out else ''}": _list_node(whole_in, list_out)
        for whole_in in (False, True)
        for list_out in (False, True)
    },
}
