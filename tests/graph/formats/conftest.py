"""Small node types with ComfyUI's names and widget orders, and a way to write canvases by hand."""

from __future__ import annotations

from typing import Annotated, Any, Literal, NamedTuple

import pytest

from graph.formats import load
from graph.node import Files, Hint, Named, Range, Socket, SocketOnly, node
from graph.schema import Registry

Model = Annotated[Any, Socket("MODEL")]
Clip = Annotated[Any, Socket("CLIP")]
Vae = Annotated[Any, Socket("VAE")]
Latent = Annotated[Any, Socket("LATENT")]
Picture = Annotated[Any, Socket("IMAGE")]
Mask = Annotated[Any, Socket("MASK")]
Conditioning = Annotated[Any, Socket("CONDITIONING")]
Seed = Annotated[int, Range(0, 2**64 - 1), Hint(control_after_generate=True)]


class Loaded(NamedTuple):
    model: Annotated[Any, Socket("MODEL"), Named("MODEL")]
    clip: Annotated[Any, Socket("CLIP"), Named("CLIP")]
    vae: Annotated[Any, Socket("VAE"), Named("VAE")]


class ModelAndClip(NamedTuple):
    model: Annotated[Any, Socket("MODEL"), Named("MODEL")]
    clip: Annotated[Any, Socket("CLIP"), Named("CLIP")]


class PictureAndMask(NamedTuple):
    image: Annotated[Any, Socket("IMAGE"), Named("IMAGE")]
    mask: Annotated[Any, Socket("MASK"), Named("MASK")]


@node("CheckpointLoaderSimple", category="")
def checkpoint(*, ckpt_name: Annotated[str, Files("checkpoints")]) -> Loaded: ...


@node("LoraLoader", category="")
def lora(
    *,
    model: Model,
    clip: Clip,
    lora_name: Annotated[str, Files("loras")],
    strength_model: float = 1.0,
    strength_clip: float = 1.0,
) -> ModelAndClip: ...


@node("CLIPTextEncode", category="")
def encode(*, text: str, clip: Clip) -> Conditioning: ...


@node("EmptyLatentImage", category="")
def empty(*, width: int = 512, height: int = 512, batch_size: Annotated[int, Range(1, 4096)] = 1) -> Latent: ...


@node("KSampler", category="")
def sample(
    *,
    model: Model,
    seed: Seed = 0,
    steps: int = 20,
    cfg: float = 8.0,
    sampler_name: Literal["euler", "dpmpp_2m"] = "euler",
    scheduler: Literal["normal", "karras"] = "normal",
    positive: Conditioning,
    negative: Conditioning,
    latent_image: Latent,
    denoise: float = 1.0,
) -> Latent: ...


@node("VAEDecode", category="")
def decode(*, samples: Latent, vae: Vae) -> Picture: ...


@node("VAEEncode", category="")
def to_latent(*, pixels: Picture, vae: Vae) -> Latent: ...


@node("LatentUpscale", category="")
def upscale(
    *,
    samples: Latent,
    upscale_method: Literal["nearest-exact", "bilinear"],
    width: int = 512,
    height: int = 512,
    crop: Literal["disabled", "center"],
) -> Latent: ...


@node("SaveImage", category="", output_node=True)
def save(*, images: Picture, filename_prefix: str = "ComfyUI") -> None: ...


@node("SaveLatent", category="", output_node=True)
def save_latent(*, samples: Latent, filename_prefix: str = "latents/ComfyUI") -> None: ...


@node("PreviewImage", category="", output_node=True)
def preview(*, images: Picture) -> None: ...


@node("LoadImage", category="")
def load_image(*, image: Annotated[str, Files("input"), Hint(image_upload=True)]) -> PictureAndMask: ...


@node("LoadImageMask", category="")
def load_mask(
    *,
    image: Annotated[str, Files("input"), Hint(image_upload=True)],
    channel: Literal["alpha", "red"],
) -> Mask: ...


@node("PrimitiveInt", category="")
def integer(*, value: Annotated[int, Hint(control_after_generate=True)]) -> int: ...


@node("Noise", category="")
def noise(
    *,
    noise_seed: int = 0,
    kind: Literal["fixed", "random"] = "random",
    wired: Annotated[int, SocketOnly] = 0,
    number: Annotated[Any, Socket("INT,FLOAT")] = None,
    strength: float | None = None,
    label: str = "none",
) -> Latent: ...


@node("Repaint", category="")
def repaint(*, mask: Mask, image: Picture, other: Picture, latent: Latent | None = None) -> Picture: ...


FUNCTIONS: list[Any] = [
    *(checkpoint, lora, encode, empty, sample, decode, to_latent, upscale, save, save_latent, preview),
    *(load_image, load_mask, integer, noise, repaint),
]


@pytest.fixture(scope="session")
def registry() -> Registry:
    return Registry({function.node_type.name: function.node_type for function in FUNCTIONS})


Link = tuple[Any, int, Any, int]


class Sketch:
    """Editor documents written by hand, and the prompts read from them."""

    def __init__(self, registry: Registry):
        self.registry = registry

    def inputs(self, document: Any) -> dict[str, dict[str, Any]]:
        """Node id → inputs in the API dialect."""
        return {node_id: node["inputs"] for node_id, node in load(document, self.registry).to_api().items()}

    def canvas(self, nodes: list[dict[str, Any]], links: list[Link], as_objects: bool = False) -> dict[str, Any]:
        """A document: ``links`` are (from, slot, to, slot), numbered from 1 and entered where they end."""
        by_id = {node["id"]: node for node in nodes}
        written: list[Any] = []
        for number, (origin, origin_slot, target, target_slot) in enumerate(links, 1):
            if target in by_id:
                by_id[target]["inputs"][target_slot]["link"] = number
            fields = (number, origin, origin_slot, target, target_slot, "*")
            keys = ("id", "origin_id", "origin_slot", "target_id", "target_slot", "type")
            written.append(dict(zip(keys, fields, strict=True)) if as_objects else list(fields))
        return {"nodes": nodes, "links": written, "groups": [], "version": 1 if as_objects else 0.4}

    def node(self, node_id: Any, kind: str, inputs: str = "", outputs: str = "", **more: Any) -> dict[str, Any]:
        """``inputs`` and ``outputs`` are ``name:TYPE`` by spaces; ``name:TYPE!`` is a widget's slot."""
        slots = []
        for word in inputs.split():
            name, _, slot_type = word.partition(":")
            slot: dict[str, Any] = {"name": name, "type": slot_type.rstrip("!"), "link": None}
            if slot_type.endswith("!"):
                slot["widget"] = {"name": name}
            slots.append(slot)
        return {"id": node_id, "type": kind, "mode": 0, "inputs": slots, "outputs": _slots(outputs), **more}

    def subgraph(
        self, subgraph_id: str, inputs: str, outputs: str, nodes: list[dict[str, Any]], links: list[Link]
    ) -> dict[str, Any]:
        """A definition; in ``links``, -10 is the input node and -20 the output node."""
        inside = self.canvas(nodes, links, as_objects=True)
        return {
            "id": subgraph_id,
            "name": subgraph_id.title(),
            "inputNode": {"id": -10},
            "outputNode": {"id": -20},
            "inputs": _slots(inputs),
            "outputs": _slots(outputs),
            "nodes": inside["nodes"],
            "links": inside["links"],
        }


def _slots(words: str) -> list[dict[str, str]]:
    return [{"name": word.partition(":")[0], "type": word.partition(":")[2]} for word in words.split()]


@pytest.fixture(scope="session")
def sketch(registry: Registry) -> Sketch:
    return Sketch(registry)
