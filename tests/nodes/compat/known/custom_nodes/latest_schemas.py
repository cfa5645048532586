"""Schema-style nodes with the options of late 2025."""

from enum import Enum

import torch
from comfy_api.latest import ComfyExtension, io, ui


class Mode(Enum):
    PLAIN = "plain"
    BRIGHT = "bright"


class Everything(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="KnownEverything",
            display_name="Everything",
            category="known/schema",
            search_aliases=["all of it"],
            essentials_category="Basics",
            inputs=[
                io.Image.Input("image", tooltip="a picture"),
                io.Int.Input("count", "Count", False, "how many", None, 2, 1, 9, display_mode=io.NumberDisplay.slider),
                io.Float.Input("scale", default=1.0, min=0.0, max=2.0, step=0.1, round=0.01),
                io.String.Input("name", multiline=True, placeholder="a name", dynamic_prompts=False),
                io.Boolean.Input("on", default=True, label_on="yes", label_off="no"),
                io.Combo.Input("mode", options=Mode, default=Mode.BRIGHT),
                io.MultiCombo.Input("several", options=["a", "b", "c"], default=["a"]),
                io.Int.Input("seed", default=0, min=0, max=2**32, control_after_generate=True),
                io.MultiType.Input(io.Float.Input("either", default=0.5), types=[io.Int, io.String]),
                io.Custom("KNOWN_THING").Input("thing", optional=True),
                io.AnyType.Input("whatever", optional=True),
                io.Mask.Input("mask", optional=True, lazy=True),
            ],
            outputs=[io.Image.Output("IMAGE", display_name="picture", tooltip="changed"), io.String.Output("text")],
            hidden=[io.Hidden.unique_id, io.Hidden.prompt, io.Hidden.extra_pnginfo, io.Hidden.dynprompt],
            is_experimental=True,
        )

    @classmethod
    def validate_inputs(cls, count):
        return "not seven" if count == 7 else True

    @classmethod
    def fingerprint_inputs(cls, count, **kwargs):
        return str(count)

    @classmethod
    def check_lazy_status(cls, on, mask=None, **kwargs):
        return ["mask"] if on and mask is None else []

    @classmethod
    def execute(cls, image, count, scale, name, on, mode, several, seed, either, thing=None, whatever=None, mask=None):
        hidden = cls.hidden
        node = hidden.dynprompt.get_node(hidden.unique_id)
        facts = (count, scale, name, on, mode, several, seed, either, thing, whatever, mask is not None)
        assert node["class_type"] == "KnownEverything" and hidden.unique_id in hidden.prompt
        return io.NodeOutput(image.repeat(count, 1, 1, 1), repr(facts))


class Lists(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="KnownLists",
            category="known/schema",
            inputs=[io.Int.Input("numbers")],
            outputs=[io.Int.Output(is_output_list=True), io.Int.Output("count")],
            is_input_list=True,
            not_idempotent=True,
        )

    @classmethod
    async def execute(cls, numbers):
        return io.NodeOutput(sorted(numbers, reverse=True), len(numbers))


class Grow(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="KnownGrow",
            category="known/schema",
            inputs=[io.Image.Input("image", raw_link=True), io.Float.Input("by", default=0.5)],
            outputs=[io.Image.Output()],
            enable_expand=True,
        )

    @classmethod
    def execute(cls, image, by):
        from comfy_execution.graph_utils import GraphBuilder

        graph = GraphBuilder()
        scaled = graph.node("ImageScaleBy", image=image, upscale_method="area", scale_by=by)
        return io.NodeOutput(scaled.out(0), expand=graph.finalize())


class Shows(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="KnownShows",
            category="known/schema",
            inputs=[
                io.Image.Input("image"),
                io.Combo.Input("how", options=["preview", "mask", "save", "png", "webp", "block"]),
            ],
            is_output_node=True,
            is_api_node=True,
        )

    @classmethod
    def execute(cls, image, how):
        if how == "preview":
            return io.NodeOutput(ui=ui.PreviewImage(image, cls=cls))
        if how == "mask":
            return io.NodeOutput(ui=ui.PreviewMask(image[..., 0]))
        if how == "save":
            return io.NodeOutput(ui=ui.ImageSaveHelper.get_save_images_ui(image, "shows", cls=cls, compress_level=1))
        if how == "png":
            found = ui.ImageSaveHelper.get_save_animated_png_ui(image, "shows", cls=cls, fps=4.0, compress_level=4)
            return io.NodeOutput(ui=found)
        if how == "webp":
            found = ui.ImageSaveHelper.get_save_animated_webp_ui(
                image, "shows", cls=cls, fps=4.0, lossless=False, quality=80, method=1
            )
            return io.NodeOutput(ui=found)
        return io.NodeOutput(block_execution="nothing to see")


class Known(ComfyExtension):
    async def on_load(self):
        assert torch.zeros(1).item() == 0

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        return [Everything, Lists, Grow, Shows]


async def comfy_entrypoint() -> Known:
    return Known()
