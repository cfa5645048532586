"""Switches and primitives of any type, with the tricks that such packs use."""

from comfy_execution.graph import ExecutionBlocker


class AnyType(str):
    def __ne__(self, other):
        return False


class AlwaysEqual(str):
    def __ne__(self, other):
        return False

    def __eq__(self, other):
        return True

    def __hash__(self):
        return 0


class FromTheFirst(tuple):
    """A tuple whose every index is the first type: a node has as many outputs as are linked."""

    def __getitem__(self, index):
        item = super().__getitem__(min(index, 0))
        return AnyType(item) if isinstance(item, str) else item


class Flexible(dict):
    def __init__(self, kind, data=None):
        self.kind = kind
        self.data = data or {}
        for name, spec in self.data.items():
            self[name] = spec

    def __getitem__(self, key):
        return self.data.get(key, (self.kind,))

    def __contains__(self, key):
        return True


any_type = AnyType("*")


class FirstOfAny:
    CATEGORY = "known"
    FUNCTION = "switch"
    RETURN_TYPES = (any_type,)
    RETURN_NAMES = ("*",)

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {}, "optional": Flexible(any_type)}

    def switch(self, **kwargs):
        return (next((value for name, value in kwargs.items() if name.startswith("any_") and value is not None), None),)


class Selector:
    """Lazy: only the chosen input is evaluated; its inputs are as many as are linked."""

    CATEGORY = "known"
    FUNCTION = "select"
    RETURN_TYPES = (any_type, "STRING", "INT")
    RETURN_NAMES = ("selected_value", "selected_label", "selected_index")

    @classmethod
    def INPUT_TYPES(cls):
        import inspect

        optional = {"input1": (any_type, {"lazy": True, "tooltip": "any"})}
        if inspect.stack()[2].function == "get_input_info":
            optional = Flexible(any_type, optional)
        return {
            "required": {"select": ("INT", {"default": 1, "min": 1, "max": 999999, "step": 1})},
            "optional": optional,
            "hidden": {"unique_id": "UNIQUE_ID", "extra_pnginfo": "EXTRA_PNGINFO"},
        }

    def check_lazy_status(self, *args, **kwargs):
        name = f"input{int(kwargs['select'])}"
        return [name] if name in kwargs else []

    def select(self, *args, **kwargs):
        index = int(kwargs["select"])
        return (kwargs.get(f"input{index}"), f"input{index}", index)


class InverseSelector:
    CATEGORY = "known"
    FUNCTION = "give"
    RETURN_TYPES = FromTheFirst((any_type,))
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls):
        return {
            "required": {"select": ("INT", {"default": 1, "min": 1}), "input": (any_type,)},
            "hidden": {"unique_id": "UNIQUE_ID", "prompt": "PROMPT"},
        }

    def give(self, select, prompt, unique_id, input):
        used = set()
        for node in prompt.values():
            for given in node["inputs"].values():
                if isinstance(given, list) and len(given) == 2 and given[0] == unique_id:
                    used.add(given[1])
        return tuple(input if select == n + 1 else ExecutionBlocker(None) for n in range(max(used, default=0) + 1))


class ConvertAny:
    CATEGORY = "known"
    FUNCTION = "convert"
    RETURN_TYPES = ("STRING", "INT", "FLOAT", "BOOLEAN")

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"value": (AlwaysEqual("*"), {})}}

    @classmethod
    def VALIDATE_INPUTS(cls, **kwargs):
        return True

    def convert(self, value):
        return (str(value), int(float(value)), float(value), bool(value))


NODE_CLASS_MAPPINGS = {c.__name__: c for c in (FirstOfAny, Selector, InverseSelector, ConvertAny)}
