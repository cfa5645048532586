"""A loop made of expansions: the end runs everything since the beginning again, until a count is 0."""

from comfy_execution.graph_utils import GraphBuilder, is_link


class LoopOpen:
    CATEGORY = "features"
    FUNCTION = "run"
    RETURN_TYPES = ("LOOP", "INT", "INT")

    @classmethod
    def INPUT_TYPES(cls):
        return {
            "required": {"turns": ("INT", {"default": 3, "max": 10000}), "value": ("INT",)},
            "hidden": {"left": ("INT",)},
        }

    def run(self, turns, value, left=None):
        return ("loop", value, turns if left is None else left)


class LoopClose:
    CATEGORY = "features"
    FUNCTION = "run"
    RETURN_TYPES = ("INT",)

    @classmethod
    def INPUT_TYPES(cls):
        return {
            "required": {"loop": ("LOOP", {"rawLink": True}), "left": ("INT",), "value": ("INT",)},
            "hidden": {"dynprompt": "DYNPROMPT", "id": "UNIQUE_ID"},
        }

    def run(self, loop, left, value, dynprompt, id):
        if left <= 1:
            return (value,)
        opening = loop[0]
        body = self.body(dynprompt, id, opening)
        graph = GraphBuilder()
        for node_id in body:
            source = dynprompt.get_node(node_id)
            graph.node(source["class_type"], "again" if node_id == id else node_id)
        for node_id in body:
            source = dynprompt.get_node(node_id)
            node = graph.lookup_node("again" if node_id == id else node_id)
            node.set_override_display_id(node_id)
            for name, given in source["inputs"].items():
                inner = is_link(given) and graph.lookup_node(given[0])
                node.set_input(name, inner.out(given[1]) if inner else given)
        start = graph.lookup_node(opening)
        start.set_input("value", value)
        start.set_input("left", left - 1)
        return {"result": (graph.lookup_node("again").out(0),), "expand": graph.finalize()}

    def body(self, dynprompt, id, opening):
        """Return the nodes between the two, both included."""
        needs = {}

        def reaches(node_id):
            if node_id == opening:
                return True
            if node_id not in needs:
                needs[node_id] = False
                links = filter(is_link, dynprompt.get_node(node_id)["inputs"].values())
                needs[node_id] = any([reaches(link[0]) for link in links])
            return needs[node_id]

        reaches(id)
        return [opening, *(node_id for node_id, found in needs.items() if found)]
