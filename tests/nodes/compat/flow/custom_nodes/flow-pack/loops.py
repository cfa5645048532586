"""While and for loops of five values, by expansion: a for loop is written as a while loop."""

from comfy_execution.graph_utils import GraphBuilder, is_link

from .variants import takes_variants

VALUES = 5


def _named(first=0, **options):
    return {f"initial_value{number}": ("*", *([options] if options else [])) for number in range(first, VALUES)}


@takes_variants
class WhileOpen:
    CATEGORY = "flow"
    FUNCTION = "open"
    RETURN_TYPES = ("FLOW_CONTROL", *["*"] * VALUES)
    RETURN_NAMES = ("FLOW_CONTROL", *[f"value{number}" for number in range(VALUES)])

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"condition": ("BOOLEAN", {"default": True})}, "optional": _named()}

    def open(self, condition, **values):
        return ("stub", *[values.get(f"initial_value{number}") for number in range(VALUES)])


@takes_variants
class WhileClose:
    CATEGORY = "flow"
    FUNCTION = "close"
    RETURN_TYPES = ("*",) * VALUES

    @classmethod
    def INPUT_TYPES(cls):
        return {
            "required": {
                "flow_control": ("FLOW_CONTROL", {"rawLink": True}),
                "condition": ("BOOLEAN", {"forceInput": True}),
            },
            "optional": _named(),
            "hidden": {"dynprompt": "DYNPROMPT", "unique_id": "UNIQUE_ID"},
        }

    def close(self, flow_control, condition, dynprompt=None, unique_id=None, **values):
        if not condition:
            return tuple(values.get(f"initial_value{number}") for number in range(VALUES))
        opening = flow_control[0]
        body = _between(opening, unique_id, dynprompt)
        graph = GraphBuilder()
        for node_id in body:
            written = dynprompt.get_node(node_id)
            copy = graph.node(written["class_type"], "Again" if node_id == unique_id else node_id)
            copy.set_override_display_id(node_id)
        for node_id in body:
            copy = graph.lookup_node("Again" if node_id == unique_id else node_id)
            for name, given in dynprompt.get_node(node_id)["inputs"].items():
                if is_link(given) and given[0] in body:
                    copy.set_input(name, graph.lookup_node(given[0]).out(given[1]))
                else:
                    copy.set_input(name, given)
        start = graph.lookup_node(opening)
        for number in range(VALUES):
            start.set_input(f"initial_value{number}", values.get(f"initial_value{number}"))
        again = graph.lookup_node("Again")
        return {"result": tuple(again.out(number) for number in range(VALUES)), "expand": graph.finalize()}


def _between(opening, closing, dynprompt):
    """Return the nodes that the end depends on and that depend on the beginning, both included."""
    needed_by = {}
    todo = [closing]
    while todo:
        node_id = todo.pop()
        for given in dynprompt.get_node(node_id)["inputs"].values():
            if is_link(given):
                if given[0] not in needed_by:
                    needed_by[given[0]] = []
                    todo.append(given[0])
                needed_by[given[0]].append(node_id)
    found = {opening: None, closing: None}
    todo = [opening]
    while todo:
        for consumer in needed_by.get(todo.pop(), []):
            if consumer not in found:
                found[consumer] = None
                todo.append(consumer)
    return found


@takes_variants
class ForOpen:
    CATEGORY = "flow"
    FUNCTION = "open"
    RETURN_TYPES = ("FLOW_CONTROL", "INT", *["*"] * (VALUES - 1))

    @classmethod
    def INPUT_TYPES(cls):
        return {
            "required": {"remaining": ("INT", {"default": 1, "min": 0, "max": 100000, "step": 1})},
            "optional": _named(1),
            "hidden": {"initial_value0": ("*",)},
        }

    def open(self, remaining, **values):
        remaining = values.pop("initial_value0", remaining)
        graph = GraphBuilder()
        graph.node("WhileOpen", condition=remaining, initial_value0=remaining, **values)
        outputs = [values.get(f"initial_value{number}") for number in range(1, VALUES)]
        return {"result": ("stub", remaining, *outputs), "expand": graph.finalize()}


@takes_variants
class ForClose:
    CATEGORY = "flow"
    FUNCTION = "close"
    RETURN_TYPES = ("*",) * (VALUES - 1)

    @classmethod
    def INPUT_TYPES(cls):
        return {
            "required": {"flow_control": ("FLOW_CONTROL", {"rawLink": True})},
            "optional": _named(1, rawLink=True),
        }

    def close(self, flow_control, **values):
        graph = GraphBuilder()
        left = graph.node("Subtract", a=[flow_control[0], 1], b=1)
        more = graph.node("IsTrue", value=left.out(0))
        end = graph.node(
            "WhileClose", flow_control=flow_control, condition=more.out(0), initial_value0=left.out(0), **values
        )
        return {"result": tuple(end.out(number) for number in range(1, VALUES)), "expand": graph.finalize()}


class Subtract:
    CATEGORY = "flow"
    FUNCTION = "subtract"
    RETURN_TYPES = ("INT",)

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"a": ("INT", {"default": 0}), "b": ("INT", {"default": 0})}}

    def subtract(self, a, b):
        return (a - b,)


class Add(Subtract):
    def subtract(self, a, b):
        return (a + b,)


@takes_variants
class IsTrue:
    CATEGORY = "flow"
    FUNCTION = "judge"
    RETURN_TYPES = ("BOOLEAN",)

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"value": ("*",), "invert": ("BOOLEAN", {"default": False})}}

    def judge(self, value, invert=False):
        return (bool(value) != invert,)


class IsMore:
    CATEGORY = "flow"
    FUNCTION = "compare"
    RETURN_TYPES = ("BOOLEAN",)

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"a": ("INT", {"default": 0}), "b": ("INT", {"default": 0})}}

    def compare(self, a, b):
        return (a > b,)


NODES = {found.__name__: found for found in (WhileOpen, WhileClose, ForOpen, ForClose, Subtract, Add, IsTrue, IsMore)}
