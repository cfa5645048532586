"""The workflows that OpenAI's requests mean, for a checkpoint."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from graph.builder import AddedNode, WorkflowBuilder
from graph.schema import Registry
from graph.workflow import Link, Workflow
from server.http.request_error import RequestError
from server.interfaces.checkpoints import Checkpoint
from server.interfaces.openai.parameters import ImageRequest

PREFIX = "api/openai"
"""The beginning of the saved files' names in the output folder."""
_NODES = (
    *("CheckpointLoaderSimple", "CLIPTextEncode", "EmptyLatentImage", "KSampler", "VAEDecode", "SaveImage"),
    *("LoadImage", "ImageScale", "MaskToImage", "ImageToMask", "InpaintModelConditioning", "VAEEncode"),
    *("SetLatentNoiseMask", "RepeatImageBatch", "RepeatLatentBatch", "ImageCompositeMasked", "EmptyImage", "SolidMask"),
)
_SAMPLER, _SCHEDULER = "dpmpp_2m", "karras"
_VARIATION_DENOISE = 0.6
_GREY = 0x808080
"""The colour that an inpainting model sees in the masked part."""


@dataclass(frozen=True, slots=True)
class InputPicture:
    """A picture in the input folder: its name and size in pixels. ``masked``: only its transparent part is edited."""

    name: str
    width: int
    height: int
    masked: bool = False


@dataclass(frozen=True, slots=True)
class Drawing:
    """A workflow, its output nodes in the order of the answer, and the size of its pictures if it is known."""

    workflow: Workflow
    outputs: tuple[str, ...]
    size: tuple[int, int] | None


def generation(registry: Registry, checkpoint: Checkpoint, wanted: ImageRequest, seed: int) -> Drawing:
    """Return the workflow that makes pictures out of a text."""
    width, height = wanted.size or (checkpoint.side, checkpoint.side)
    parts = _Parts(registry, checkpoint, wanted)
    saved = parts.draw(width, height, seed)
    return Drawing(parts.add.workflow(), (saved,), (width, height))


def redrawing(
    registry: Registry, checkpoint: Checkpoint, wanted: ImageRequest, pictures: Sequence[InputPicture], seed: int
) -> Drawing:
    """Return the workflow that edits or varies pictures, each apart. ``seed`` is the first one's, then it counts up."""
    first = pictures[0]
    width, height = wanted.size or checkpoint.size_like(first.width, first.height)
    parts = _Parts(registry, checkpoint, wanted)
    saved = [parts.redraw(picture, width, height, seed + index) for index, picture in enumerate(pictures)]
    return Drawing(parts.add.workflow(), tuple(saved), (width, height))


class _Parts:
    """The nodes that all pictures of a request share, and those for each."""

    def __init__(self, registry: Registry, checkpoint: Checkpoint, wanted: ImageRequest):
        if missing := [name for name in _NODES if name not in registry]:
            raise RequestError(400, "missing_nodes", f"this server has no node {missing[0]}")
        self.add = WorkflowBuilder(registry)
        self._checkpoint = checkpoint
        self._wanted = wanted
        self._loaded = self.add.CheckpointLoaderSimple(ckpt_name=checkpoint.name)
        self._positive = self._encoded("Prompt", wanted.prompt)
        self._negative = self._encoded("Negative prompt", "")

    def draw(self, width: int, height: int, seed: int) -> str:
        """Add the nodes that make pictures out of the text. Returns the node that saves them."""
        latent = self.add.EmptyLatentImage(width=width, height=height, batch_size=self._wanted.n).only_output()
        if not self._checkpoint.inpaints:
            return self.save(self.decode(self.sample(latent, seed, 1.0)))
        grey = self.add.EmptyImage(width=width, height=height, color=_GREY).only_output()
        sides, _ = self._inpainting(grey, self._whole_mask(width, height))
        return self.save(self.decode(self.sample(latent, seed, 1.0, sides)))

    def redraw(self, picture: InputPicture, width: int, height: int, seed: int) -> str:
        """Add the nodes that change one picture. Returns the node that saves it."""
        loaded = self.add.LoadImage(image=picture.name)
        image = self._scaled(loaded.IMAGE, width, height)
        if picture.masked:
            as_image = self.add.MaskToImage(mask=loaded.MASK).only_output()
            scaled = self._scaled(as_image, width, height)
            mask = self.add.ImageToMask(image=scaled, channel="red").only_output()
            sides, latent = self._inpainting(image, mask)
            drawn = self.decode(self.sample(self._repeated(latent), seed, 1.0, sides))
            around = self.add.RepeatImageBatch(image=image, amount=self._wanted.n) if self._wanted.n > 1 else image
            # The autoencoder also changes what the sampler has not touched.
            return self.save(self.add.ImageCompositeMasked(destination=around, source=drawn, x=0, y=0, mask=mask))
        denoise = _VARIATION_DENOISE if self._wanted.task == "variation" else self._wanted.denoise
        if self._checkpoint.inpaints:
            sides, latent = self._inpainting(image, self._whole_mask(width, height))
            return self.save(self.decode(self.sample(self._repeated(latent), seed, denoise, sides)))
        latent = self.add.VAEEncode(pixels=image, vae=self._loaded.VAE).only_output()
        return self.save(self.decode(self.sample(self._repeated(latent), seed, denoise)))

    def _inpainting(self, image: Link, mask: Link) -> tuple[tuple[Link, Link], Link]:
        """Add the nodes that limit sampling to a mask. Returns the conditioning's sides and the latent."""
        if self._checkpoint.inpaints:
            prepared = self.add.InpaintModelConditioning(
                positive=self._positive, negative=self._negative, vae=self._loaded.VAE, pixels=image, mask=mask
            )
            return (prepared[0], prepared[1]), prepared[2]
        encoded = self.add.VAEEncode(pixels=image, vae=self._loaded.VAE)
        latent = self.add.SetLatentNoiseMask(samples=encoded, mask=mask).only_output()
        return (self._positive, self._negative), latent

    def _whole_mask(self, width: int, height: int) -> Link:
        """Add a mask of the whole picture, for models that need one."""
        return self.add.SolidMask(value=1.0, width=width, height=height).only_output()

    def sample(self, latent: Link, seed: int, denoise: float, sides: tuple[Link, Link] | None = None) -> Link:
        """Add a sampler; ``sides`` are the positive and negative conditioning if not the prompts' own."""
        positive, negative = sides or (self._positive, self._negative)
        return self.add.KSampler(
            model=self._loaded.MODEL,
            positive=positive,
            negative=negative,
            latent_image=latent,
            seed=seed % 2**64,
            steps=self._wanted.steps,
            cfg=self._checkpoint.cfg,
            sampler_name=_SAMPLER,
            scheduler=_SCHEDULER,
            denoise=denoise,
        ).only_output()

    def decode(self, samples: Link) -> Link:
        """Add the decoder."""
        return self.add.VAEDecode(samples=samples, vae=self._loaded.VAE).only_output()

    def save(self, images: Link | AddedNode) -> str:
        """Add the node that saves pictures. Returns its id."""
        return self.add.SaveImage(images=images, filename_prefix=PREFIX).node_id

    def _encoded(self, title: str, text: str) -> Link:
        return self.add.CLIPTextEncode(clip=self._loaded.CLIP, text=text, _title=title).only_output()

    def _scaled(self, image: Link, width: int, height: int) -> Link:
        scaled = self.add.ImageScale(image=image, upscale_method="lanczos", width=width, height=height, crop="center")
        return scaled.only_output()

    def _repeated(self, latent: Link) -> Link:
        if self._wanted.n == 1:
            return latent
        return self.add.RepeatLatentBatch(samples=latent, amount=self._wanted.n).only_output()
