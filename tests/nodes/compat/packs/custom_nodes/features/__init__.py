"""A class-style pack that uses what such packs use."""

import asyncio
import importlib
import sys

import folder_paths
from comfy.comfy_types import IO, ComfyNodeABC
from comfy.utils import ProgressBar
from comfy_execution.graph_utils import ExecutionBlocker, GraphBuilder
from comfy_execution.utils import get_executing_context

import nodes
import server
from nodes import MAX_RESOLUTION
from server import PromptServer

from .loops import LoopClose, LoopOpen

print("features is here")
assert sys.modules["nodes"] is nodes is importlib.import_module("nodes")
assert server.PromptServer is PromptServer

WEB_DIRECTORY = "./web"


@PromptServer.instance.routes.get("/features/{name}")
async def greet(request):
    from aiohttp import web

    return web.json_response({"hello": request.match_info["name"], "query": dict(request.query)})


class Whatever(str):
    """Equal to every type."""

    def __ne__(self, other):
        return False


class AnyName(dict):
    """Optional inputs of any name."""

    def __contains__(self, name):
        return True

    def __getitem__(self, name):
        return (Whatever("ANYTHING"),)


class Node:
    CATEGORY = "features"
    FUNCTION = "run"
    RETURN_TYPES = ("INT",)


class Number(Node):
    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"value": ("INT", {"default": 7, "min": 0, "max": MAX_RESOLUTION})}}

    def run(self, value):
        return (value,)


class Show(Node):
    """Shows what it gets, under the name of the node."""

    RETURN_TYPES = ()
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"value": ("*",)}, "hidden": {"id": "UNIQUE_ID"}}

    def run(self, value, id):
        return {"ui": {"value": [value], "id": [id]}}


class Sum(Node):
    """Adds all linked inputs, declared or not."""

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"a": ("INT", {"default": 0})}}

    def run(self, a, **more):
        return (a + sum(more.values()),)


class Flexible(Node):
    RETURN_TYPES = ("STRING",)

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {}, "optional": AnyName()}

    def run(self, **named):
        return (str(sorted(named.items())),)


class Choose(Node):
    """Two kinds of choices, files, and an optional input whose default only the widget uses."""

    RETURN_TYPES = ("STRING",)

    @classmethod
    def INPUT_TYPES(cls):
        return {
            "required": {
                "one": (["a", "b"],),
                "two": ("COMBO", {"options": ["c", "d"], "tooltip": "the second"}),
                "model": (NONE + folder_paths.get_filename_list("checkpoints"),),
            },
            "optional": {
                "strength": ("FLOAT", {"default": 0.5, "forceInput": True}),
                "note": ("STRING", {"default": "shown", "multiline": True}),
            },
        }

    def run(self, one, two, model, strength="absent", note="absent"):
        return (f"{one} {two} {model} {strength} {note}",)


class Pick(Node):
    """Evaluates only the side that it takes."""

    @classmethod
    def INPUT_TYPES(cls):
        return {
            "required": {
                "which": ("BOOLEAN", {"default": True}),
                "yes": ("INT", {"lazy": True}),
                "no": ("INT", {"lazy": True}),
            }
        }

    def check_lazy_status(self, which, **sides):
        wanted = "yes" if which else "no"
        return [wanted] if sides[wanted] is None else []

    def run(self, which, yes, no):
        return (yes if which else no,)


class Spread(Node):
    RETURN_TYPES = ("INT", "INT")
    RETURN_NAMES = ("each", "count")
    OUTPUT_IS_LIST = (True, False)
    OUTPUT_TOOLTIPS = ("one by one", "how many")

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"count": ("INT", {"default": 3})}}

    def run(self, count):
        return (range(count), count)


class Gather(Node):
    """Takes whole lists; its hidden input is one too."""

    RETURN_TYPES = ("STRING",)
    INPUT_IS_LIST = True

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"a": ("INT",), "b": ("INT",)}, "hidden": {"id": "UNIQUE_ID"}}

    def run(self, a, b, id):
        return (f"{a} {b} {id}",)


class Block(Node):
    @classmethod
    def INPUT_TYPES(cls):
        return {
            "required": {
                "value": ("INT",),
                "below": ("INT", {"default": 2}),
                "message": ("STRING", {"default": ""}),
            }
        }

    def run(self, value, below, message):
        return (value if value >= below else ExecutionBlocker(message or None),)


class Changing(Node):
    """Decides itself whether it has changed. Counts its calls in ``self``."""

    def __init__(self):
        self.calls = 0

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"mark": ("STRING", {"default": "same"})}, "optional": {"linked": ("INT",)}}

    @classmethod
    def IS_CHANGED(cls, mark, linked=None):
        assert linked is None
        if mark == "broken":
            raise RuntimeError("no idea")
        return float("nan") if mark == "always" else mark

    def run(self, mark, linked=0):
        self.calls += 1
        return (self.calls,)


class Careful(Node):
    """Validates ``value`` itself, so that only the bounds of ``other`` are checked."""

    @classmethod
    def INPUT_TYPES(cls):
        return {
            "required": {
                "value": ("INT", {"default": 0, "max": 10}),
                "other": ("INT", {"default": 0, "max": 10}),
            }
        }

    @classmethod
    def VALIDATE_INPUTS(cls, value):
        return True if value is None or value <= 100 else "more than a hundred"

    def run(self, value, other):
        return (value + other,)


class OfTypes(Node):
    """Decides itself which types may be linked."""

    RETURN_TYPES = ("STRING",)

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"value": ("INT,FLOAT",)}}

    @classmethod
    def VALIDATE_INPUTS(cls, input_types, **values):
        if input_types["value"] not in ("INT", "STRING"):
            return f"{input_types['value']} is not what I like"
        return values == {"value": None} or f"got {values}"

    def run(self, value):
        return (str(value),)


class CarefulLater(Careful):
    @classmethod
    async def VALIDATE_INPUTS(cls, **values):
        await asyncio.sleep(0)
        return "thirteen" not in str(values.get("value")) and values["other"] != 5


class Boom(Node):
    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"value": ("INT", {"default": 0})}}

    def run(self, value):
        raise ValueError(f"boom {value}")


class Expand(Node):
    """Expands to one node of ``kind``, or to two that depend on each other."""

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"kind": ("STRING", {"default": "Number"}), "value": ("INT", {"default": 0})}}

    def run(self, kind, value):
        graph = GraphBuilder()
        inner = graph.node(kind if kind != "cycle" else "Sum")
        inner.set_input("a" if kind in ("Sum", "cycle") else "value", value)
        if kind == "cycle":
            inner.set_input("a", graph.node("Sum", a=inner.out(0)).out(0))
        return {"result": (inner.out(0),), "expand": graph.finalize()}


class ExpandToBoom(Node):
    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"value": ("INT", {"default": 0})}}

    def run(self, value):
        graph = GraphBuilder()
        return {"result": (graph.node("Expand", kind="Boom", value=value).out(0),), "expand": graph.finalize()}


class ExpandToBlocked(Node):
    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"value": ("INT", {"default": 0})}}

    def run(self, value):
        graph = GraphBuilder()
        blocked = graph.node("Block", value=value, below=value + 1, message="too small")
        return {"result": (graph.node("Sum", a=blocked.out(0)).out(0),), "expand": graph.finalize()}


class Less(Node):
    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"value": ("INT", {"default": 0})}}

    def run(self, value):
        if value <= 1:
            raise ValueError("no less than 1")
        return (value - 1,)


class Nap(Node):
    """Sleeps without blocking others, and returns when it started and ended."""

    RETURN_TYPES = ("INT",)

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"value": ("INT", {"default": 0})}}

    async def run(self, value):
        running.add(value)
        for _ in range(200):  # until the other one runs too
            if len(running) > 1:
                break
            await asyncio.sleep(0.05)
        together = len(running)
        await asyncio.sleep(0.1)
        running.discard(value)
        return (together,)


NONE = ["None"]
running = set()


class Work(Node):
    """Reports progress, the run and the node."""

    RETURN_TYPES = ("STRING",)

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"value": ("INT", {"default": 0})}, "hidden": {"id": "UNIQUE_ID"}}

    def run(self, value, id):
        bar = ProgressBar(3)
        for _ in range(3):
            bar.update(1)
        PromptServer.instance.send_sync("features.done", {"node": id})
        context = get_executing_context()
        return (f"{context.node_id == id} {context.list_index}",)


class Restless(Node):
    NOT_IDEMPOTENT = True
    DEPRECATED = True
    EXPERIMENTAL = True
    DESCRIPTION = "Is not what it seems."

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"value": ("INT", {"default": 0})}}

    def run(self, value):
        return (value,)


class Seen(ComfyNodeABC):
    """Uses the whole workflow, raw links and the types for authors."""

    CATEGORY = "features"
    FUNCTION = "run"
    RETURN_TYPES = (IO.STRING,)

    @classmethod
    def INPUT_TYPES(cls):
        return {
            "required": {"value": (IO.ANY, {"rawLink": True})},
            "hidden": {
                "prompt": "PROMPT",
                "dynprompt": "DYNPROMPT",
                "extra": "EXTRA_PNGINFO",
                "token": "API_KEY_COMFY_ORG",
            },
        }

    def run(self, value, prompt, dynprompt, extra, token):
        source = dynprompt.get_node(value[0])["class_type"]
        return (f"{value} {source} {len(prompt)} {extra} {token}",)


class Core(Node):
    """Calls Sumi's own nodes as classes."""

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"value": ("INT", {"default": 8})}}

    def run(self, value):
        image = nodes.NODE_CLASS_MAPPINGS["EmptyImage"]().generate(value, value, 1, 0xFF0000)[0]
        (inverted,) = nodes.ImageInvert().invert(image)
        return (int(inverted.shape[1] + inverted[0, 0, 0, 1].item()),)


class Bare:
    """Lacks all declarations: it is reported, and the others work."""


NODE_CLASS_MAPPINGS = {
    found.__name__: found
    for found in (
        *(Number, Show, Sum, Flexible, Choose, Pick, Spread, Gather, Block, Changing, Careful, OfTypes),
        *(CarefulLater, Boom, Expand, ExpandToBoom, ExpandToBlocked, Less, Nap, Work, Restless, Seen, Core, Bare),
        *(LoopOpen, LoopClose),
    )
} | {"KSampler": Number}
NODE_DISPLAY_NAME_MAPPINGS = {"Number": "A Number"}
