"""Small maths, strings, and a node that shows text."""

import math
import random
import re

AND_MORE = {"x": ("FLOAT,INT", {"default": 0.0}), "y": ("FLOAT,INT", {"default": 0.0})}


class Expression:
    CATEGORY = "known/maths"
    FUNCTION = "evaluate"
    RETURN_TYPES = ("INT", "FLOAT")
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(s):
        return {
            "required": {"expression": ("STRING", {"multiline": True, "dynamicPrompts": False})},
            "optional": AND_MORE,
            "hidden": {"extra_pnginfo": "EXTRA_PNGINFO", "prompt": "PROMPT"},
        }

    @classmethod
    def IS_CHANGED(s, expression, **kwargs):
        return float("nan") if "random" in expression else expression

    def evaluate(self, expression, prompt, extra_pnginfo={}, x=0, y=0):  # noqa: B006
        found = eval(expression, {"x": x, "y": y, "sqrt": math.sqrt, "random": random.random})
        return {"ui": {"value": [found]}, "result": (int(found), float(found))}


class Join:
    CATEGORY = "known/text"
    FUNCTION = "join"
    RETURN_TYPES = ("STRING",)

    @classmethod
    def INPUT_TYPES(s):
        return {
            "required": {"delimiter": ("STRING", {"default": ", "}), "tidy_tags": (["yes", "no"],)},
            "optional": {f"text_{n}": ("STRING", {"forceInput": True}) for n in "abc"},
        }

    def join(self, delimiter, tidy_tags, **kwargs):
        parts = [kwargs[name].strip() for name in sorted(kwargs) if kwargs[name]]
        if tidy_tags == "yes":
            parts = [re.sub(r"\s+", " ", part) for part in parts]
        return (delimiter.join(parts),)


class ShowText:
    """Writes what it shows into the workflow that is saved with pictures."""

    CATEGORY = "known/text"
    FUNCTION = "notify"
    INPUT_IS_LIST = True
    RETURN_TYPES = ("STRING",)
    OUTPUT_NODE = True
    OUTPUT_IS_LIST = (True,)

    @classmethod
    def INPUT_TYPES(s):
        return {
            "required": {"text": ("STRING", {"forceInput": True})},
            "hidden": {"unique_id": "UNIQUE_ID", "extra_pnginfo": "EXTRA_PNGINFO"},
        }

    def notify(self, text, unique_id=None, extra_pnginfo=None):
        if unique_id is not None and extra_pnginfo is not None and extra_pnginfo[0]:
            workflow = extra_pnginfo[0]["workflow"]
            node = next((n for n in workflow["nodes"] if str(n["id"]) == str(unique_id[0])), None)
            if node:
                node["widgets_values"] = [text]
        return {"ui": {"text": text}, "result": (text,)}


NODE_CLASS_MAPPINGS = {"Known Expression": Expression, "Known Join|tags": Join, "Known ShowText 🐍": ShowText}
NODE_DISPLAY_NAME_MAPPINGS = {"Known ShowText 🐍": "Show Text 🐍"}
