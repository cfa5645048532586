"""A schema-style pack that uses what such packs use."""

import asyncio

from comfy_api.latest import ComfyAPI, ComfyExtension, io, ui

from . import names  # noqa: F401


class Add(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="SchemaAdd",
            display_name="Add",
            category="schema",
            description="Adds.",
            inputs=[
                io.Int.Input("a", default=1, min=0, max=10, tooltip="the first"),
                io.Int.Input("b", optional=True, lazy=True),
                io.Combo.Input("sign", options=["plus", "minus"]),
            ],
            outputs=[io.Int.Output(display_name="sum"), io.Int.Output(is_output_list=True)],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def validate_inputs(cls, a):
        return True if a is None or a != 9 else "nine is not allowed"

    @classmethod
    def fingerprint_inputs(cls, a, **kwargs):
        return a

    @classmethod
    def check_lazy_status(cls, sign, b=None, **kwargs):
        return ["b"] if b is None else []

    @classmethod
    def execute(cls, a, sign, b=0):
        total = a + b if sign == "plus" else a - b
        return io.NodeOutput(total, [total, int(cls.hidden.unique_id)])


class Show(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="SchemaShow",
            category="schema",
            inputs=[io.MultiType.Input("value", types=[io.Int, io.String])],
            is_output_node=True,
        )

    @classmethod
    def execute(cls, value):
        assert cls.hidden.prompt is not None
        return io.NodeOutput(ui=ui.PreviewText(str(value)))


class Grow(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        template = io.Autogrow.TemplatePrefix(io.Int.Input("number"), prefix="number", min=1, max=4)
        return io.Schema(
            node_id="SchemaGrow",
            category="schema",
            inputs=[
                io.Autogrow.Input("numbers", template=template),
                io.DynamicCombo.Input(
                    "mode",
                    options=[
                        io.DynamicCombo.Option("plain", []),
                        io.DynamicCombo.Option("scaled", [io.Int.Input("factor", default=2)]),
                        io.DynamicCombo.Option("halved", [io.Float.Input("factor", default=0.5, max=1.0)]),
                    ],
                ),
            ],
            outputs=[io.Int.Output()],
        )

    @classmethod
    def execute(cls, numbers, mode):
        factor = 1 if mode["mode"] == "plain" else mode["factor"]
        return io.NodeOutput(int(sum(numbers.values()) * factor))


class Stop(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        match = io.MatchType.Template("any")
        return io.Schema(
            node_id="SchemaStop",
            category="schema",
            inputs=[io.MatchType.Input("value", match)],
            outputs=[io.MatchType.Output(match)],
        )

    @classmethod
    async def execute(cls, value):
        await ComfyAPI().execution.set_progress(1, 2)
        await asyncio.sleep(0)
        return io.NodeOutput(block_execution="stopped here")


class Features(ComfyExtension):
    async def get_node_list(self):
        return [Add, Show, Grow, Stop]


async def comfy_entrypoint():
    return Features()
