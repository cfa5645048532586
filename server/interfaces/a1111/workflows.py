"""The workflows that txt2img and img2img mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from graph.builder import AddedNode, WorkflowBuilder
from graph.folders import Folders
from graph.formats.a1111.prompts import Lora
from graph.formats.a1111.samplers import LATENT_UPSCALERS, PIXEL_UPSCALERS, STOCHASTIC, Sampling
from graph.schema import Registry
from graph.workflow import Link, Workflow
from server.http.request_error import RequestError
from server.interfaces.a1111.control import CONTROL_MODES, MODULES
from server.interfaces.a1111.fields import field_error, unsupported
from server.interfaces.a1111.inpainting import Box, crop_of, masked_part
from server.interfaces.a1111.parameters import PictureRequest, Source
from server.interfaces.a1111.pictures import RequestPictures, StoredPicture
from server.interfaces.a1111.resources import Resources
from server.interfaces.checkpoints import read_checkpoint

PREFIX: Final = "api/a1111"
"""The beginning of the saved files' names in the output folder."""
_NODES: Final = (
    *("CheckpointLoaderSimple", "CLIPTextEncodeA1111", "VariationNoise", "BasicScheduler", "SamplerCustomAdvanced"),
    *("CFGGuider", "KSamplerSelect", "EmptyLatentImage", "VAEDecode", "VAEEncode", "SaveImage", "PreviewImage"),
)
_ETA_NODES: Final[Mapping[str, tuple[str, Mapping[str, str]]]] = {
    "euler_ancestral": ("SamplerEulerAncestral", {}),
    "dpmpp_2s_ancestral": ("SamplerDPMPP_2S_Ancestral", {}),
    "dpmpp_sde": ("SamplerDPMPP_SDE", {"noise_device": "cpu"}),
    "dpmpp_2m_sde": ("SamplerDPMPP_2M_SDE", {"solver_type": "midpoint", "noise_device": "cpu"}),
    "dpmpp_2m_sde_heun": ("SamplerDPMPP_2M_SDE", {"solver_type": "heun", "noise_device": "cpu"}),
    "dpmpp_3m_sde": ("SamplerDPMPP_3M_SDE", {"noise_device": "cpu"}),
}
"""Nodes of samplers that take other values for the noise of each step, and their other inputs."""
_LARGEST_FACTOR: Final = 0.999
_LARGEST_BATCH: Final = 64
"""The most pictures that the nodes for batches of latents take."""
_WHITE: Final = 0xFFFFFF


@dataclass(frozen=True, slots=True)
class Drawing:
    """A workflow. ``outputs``: its output nodes in the order of the answer, with the numbers of their pictures.
    ``samplers``: the nodes that sample, with the iteration (of ``n_iter``, from 0) whose pictures they make."""

    workflow: Workflow
    outputs: tuple[tuple[str, tuple[int, ...]], ...]
    samplers: Mapping[str, int]
    checkpoint: str
    vae: str | None
    loras: tuple[Lora, ...]


class _Models(NamedTuple):
    model: Link
    clip: Link
    vae: Link


class _Sides(NamedTuple):
    positive: Link
    negative: Link


@dataclass(frozen=True, slots=True)
class _Start:
    """What sampling starts from: a latent of ``size`` pictures, and what to do with the decoded ones."""

    latent: Link
    sides: _Sides
    overlay: _Overlay | None = None
    size: int = 1


@dataclass(frozen=True, slots=True)
class _Overlay:
    """The pictures around the mask, which the results are pasted into. ``box`` is where, None for everywhere."""

    around: Link
    mask: Link
    box: Box | None


def drawing_of(
    registry: Registry, folders: Folders, wanted: PictureRequest, pictures: RequestPictures, prompts: tuple[str, str]
) -> Drawing:
    """Return the workflow of a request. ``prompts`` are the prompt and the negative one, with their styles.

    Raises RequestError (422) for models that do not exist and for what Sumi does not have.
    """
    if missing := [name for name in _NODES if name not in registry]:
        raise RequestError(422, "missing_nodes", f"this server has no node {missing[0]}")
    return _Conversion(registry, folders, wanted, pictures, prompts).drawing()


class _Conversion:
    def __init__(
        self,
        registry: Registry,
        folders: Folders,
        wanted: PictureRequest,
        pictures: RequestPictures,
        prompts: tuple[str, str],
    ):
        self._w = WorkflowBuilder(registry)
        self._folders = folders
        self._wanted = wanted
        self._pictures = pictures
        self._resources = Resources(folders)
        self._texts = prompts
        self._outputs: list[tuple[str, tuple[int, ...]]] = []
        self._samplers: dict[str, int] = {}
        self._loaded: dict[str, Link] = {}
        self._starts: dict[tuple[int, ...], _Start] = {}

    def drawing(self) -> Drawing:
        wanted = self._wanted
        text, loras = self._resources.networks_of(self._texts[0], "prompt")
        name = self._resources.checkpoint(wanted.checkpoint, "override_settings.sd_model_checkpoint")
        vae = self._resources.vae(wanted.vae)
        models = self._models(name, vae, loras)
        sides = self._sides(models, (text, self._texts[1]), wanted.steps, 0)
        sides = self._controlled(sides, models, (wanted.width, wanted.height))
        if wanted.source is None:
            latent = self._w.EmptyLatentImage(width=wanted.width, height=wanted.height, batch_size=1).only_output()
            self._starts[()] = self._for_inpainting_models(name, models, _Start(latent, sides))
        second = self._second_pass(name, vae, models, sides, (text, loras))
        for first, count in self._batches():
            self._draw(self._start_of(models, sides, name, first, count), models, second, first, count)
        return Drawing(self._w.workflow(), tuple(self._outputs), self._samplers, name, vae, tuple(loras))

    # -- models and prompts

    def _models(self, name: str, vae: str | None, loras: Sequence[Lora]) -> _Models:
        loaded = self._w.CheckpointLoaderSimple(ckpt_name=name)
        model, clip = loaded.MODEL, loaded.CLIP
        for lora in loras:
            applied = self._w.LoraLoader(
                model=model, clip=clip, lora_name=lora.name, strength_model=lora.model, strength_clip=lora.clip
            )
            model, clip = applied.MODEL, applied.CLIP
        decoder = loaded.VAE if vae is None else self._w.VAELoader(vae_name=vae).only_output()
        return _Models(model, clip, decoder)

    def _sides(self, models: _Models, texts: tuple[str, str], steps: int, steps_before: int) -> _Sides:
        shared = {
            "clip": models.clip,
            "steps": steps,
            "steps_before": steps_before,
            "clip_skip": self._wanted.clip_skip,
            "emphasis": self._wanted.emphasis,
        }
        positive = self._w.CLIPTextEncodeA1111(text=texts[0], compose=True, _title="Prompt", **shared)
        negative = self._w.CLIPTextEncodeA1111(text=texts[1], compose=False, _title="Negative prompt", **shared)
        return _Sides(positive.only_output(), negative.only_output())

    # -- ControlNet

    def _controlled(self, sides: _Sides, models: _Models, size: tuple[int, int]) -> _Sides:
        for number, unit in enumerate(self._wanted.units):
            place = f"alwayson_scripts.ControlNet.args[{number}]"
            if CONTROL_MODES[unit.control_mode] == "My prompt is more important":
                raise unsupported(
                    f"{place}.control_mode", "Sumi scales all blocks of a ControlNet alike; send 0 with a lower weight"
                )
            picture = self._pictures.control.get(number) or self._pictures.sources[0]
            image = self._fitted(self._opaque(picture), unit.resize_mode, size)
            if unit.module == MODULES[1]:
                low, high = (min(0.99, max(0.01, value / 255)) for value in (unit.low, unit.high))
                image = self._w.Canny(image=image, low_threshold=low, high_threshold=high).only_output()
            elif unit.module == MODULES[2]:
                image = self._w.ImageInvert(image=image).only_output()
            network = self._w.ControlNetLoader(
                control_net_name=self._resources.control_net(unit.model, f"{place}.model")
            )
            applied = self._w.ControlNetApplyAdvanced(
                positive=sides.positive,
                negative=sides.negative,
                control_net=network,
                image=image,
                strength=unit.weight,
                start_percent=unit.start,
                end_percent=unit.end,
                vae=models.vae,
            )
            only_prompt = CONTROL_MODES[unit.control_mode] == "ControlNet is more important"
            sides = _Sides(applied[0], sides.negative if only_prompt else applied[1])
        return sides

    # -- sampling

    def _batches(self) -> list[tuple[int, int]]:
        """Return the first picture and the number of pictures of each run of a sampler; all are of one iteration.

        A sampler that adds noise at each step draws it for a whole batch. Its pictures are sampled one by one, so that
        a seed gives the same picture in every place.
        """
        wanted = self._wanted
        samplings = [wanted.sampling, *([wanted.hires.sampling] if wanted.hires else [])]
        size = min(wanted.batch_size, _LARGEST_BATCH)
        if any(STOCHASTIC.search(each.sampler) for each in samplings):
            size = 1
        return [
            (iteration * wanted.batch_size + first, min(size, wanted.batch_size - first))
            for iteration in range(wanted.batches)
            for first in range(0, wanted.batch_size, size)
        ]

    def _draw(self, start: _Start, models: _Models, second: _SecondPass | None, first: int, count: int) -> None:
        """Add the nodes of some pictures of the batch: sampling, hires fix, decoding and saving."""
        wanted = self._wanted
        noise = self._noise(first)
        latent = start.latent
        if count > start.size:
            latent = self._w.RepeatLatentBatch(samples=latent, amount=-(-count // start.size)).only_output()
            if count % start.size:
                latent = self._w.LatentFromBatch(samples=latent, batch_index=0, length=count).only_output()
        sigmas = self._sigmas(models.model, wanted.sampling, wanted.steps)
        if wanted.source is not None:
            strength = min(wanted.source.denoise, _LARGEST_FACTOR)
            left_out = wanted.steps - min(int(strength * wanted.steps), wanted.steps - 1) - 1
            sigmas = self._w.SplitSigmas(sigmas=sigmas, step=left_out)[1] if left_out else sigmas
        samples = self._sampled(models.model, start.sides, noise, wanted.sampling, sigmas, latent, first)
        if second is not None:
            samples = self._sampled_again(models, second, samples, first)
        image = self._w.VAEDecode(samples=samples, vae=second.models.vae if second else models.vae).only_output()
        if start.overlay is not None:
            image = self._pasted(image, start.overlay, start.size, count)
        if wanted.save_images:
            saved = self._w.SaveImage(images=image, filename_prefix=PREFIX)
        else:
            saved = self._w.PreviewImage(images=image)
        self._outputs.append((saved.node_id, tuple(range(first, first + count))))

    def _noise(self, first: int) -> Link:
        wanted = self._wanted
        return self._w.VariationNoise(
            noise_seed=wanted.seed_of(first),
            variation_seed=wanted.subseed_of(first) if wanted.subseed_strength else 0,
            variation_strength=wanted.subseed_strength,
            resize_from_width=wanted.resize_seed_from[0] // 8 * 8,
            resize_from_height=wanted.resize_seed_from[1] // 8 * 8,
        ).only_output()

    def _sigmas(self, model: Link, sampling: Sampling, steps: int, denoise: float = 1.0) -> Link:
        return self._w.BasicScheduler(
            model=model, scheduler=sampling.schedule, steps=steps, denoise=denoise
        ).only_output()

    def _sampled(
        self, model: Link, sides: _Sides, noise: Link, sampling: Sampling, sigmas: Link, latent: Link, first: int
    ) -> Link:
        guider = self._w.CFGGuider(model=model, positive=sides.positive, negative=sides.negative, cfg=self._wanted.cfg)
        sampler = self._sampler(sampling)
        sampled = self._w.SamplerCustomAdvanced(
            noise=noise, guider=guider, sampler=sampler, sigmas=sigmas, latent_image=latent
        )
        self._samplers[sampled.node_id] = first // self._wanted.batch_size
        return sampled[0]

    def _sampler(self, sampling: Sampling) -> AddedNode:
        wanted = self._wanted
        eta = 1.0 if wanted.eta is None else wanted.eta
        if not STOCHASTIC.search(sampling.sampler) or (eta == 1.0 and wanted.noise_factor == 1.0):
            return self._w.KSamplerSelect(sampler_name=sampling.sampler)
        if sampling.sampler not in _ETA_NODES:
            names = "eta" if eta != 1.0 else "s_noise"
            raise unsupported(names, f"the sampler {wanted.sampler} runs with 1 only; Euler a takes other values")
        node, others = _ETA_NODES[sampling.sampler]
        return self._w.node(node, _inputs={"eta": eta, "s_noise": wanted.noise_factor, **others})

    # -- hires fix

    def _second_pass(
        self, name: str, vae: str | None, models: _Models, sides: _Sides, prompt: tuple[str, list[Lora]]
    ) -> _SecondPass | None:
        wanted, hires = self._wanted, self._wanted.hires
        if hires is None:
            return None
        text, loras = self._resources.networks_of(hires.prompt, "hr_prompt") if hires.prompt.strip() else prompt
        if hires.checkpoint:
            name = self._resources.checkpoint(hires.checkpoint, "hr_checkpoint_name")
        if hires.checkpoint or loras != prompt[1]:
            models = self._models(name, vae, loras)
        texts = (text, hires.negative if hires.negative.strip() else self._texts[1])
        sides = self._sides(models, texts, hires.steps, wanted.steps)
        sides = self._controlled(sides, models, (hires.width, hires.height))
        return _SecondPass(models, sides)

    def _sampled_again(self, models: _Models, second: _SecondPass, samples: Link, first: int) -> Link:
        hires = self._wanted.hires
        assert hires is not None
        latent = self._enlarged(hires.upscaler, models.vae, second.models.vae, samples, (hires.width, hires.height))
        if hires.denoise == 0:
            return latent
        denoise = min(hires.denoise, _LARGEST_FACTOR)
        sigmas = self._sigmas(second.models.model, hires.sampling, hires.steps, denoise)
        noise = self._noise(first)
        return self._sampled(second.models.model, second.sides, noise, hires.sampling, sigmas, latent, first)

    def _enlarged(self, upscaler: str, decoder: Link, encoder: Link, samples: Link, size: tuple[int, int]) -> Link:
        width, height = size
        if (method := LATENT_UPSCALERS.get(upscaler.lower())) is not None:
            scaled = self._w.LatentUpscale(
                samples=samples, upscale_method=method, width=width, height=height, crop="center"
            )
            return scaled.only_output()
        image = self._w.VAEDecode(samples=samples, vae=decoder).only_output()
        image = enlarged(self._w, self._resources, image, upscaler, size, "hr_upscaler")
        return self._w.VAEEncode(pixels=image, vae=encoder).only_output()

    # -- img2img

    def _start_of(self, models: _Models, sides: _Sides, checkpoint: str, first: int, count: int) -> _Start:
        """Return what some pictures start from: picture k from ``init_images[k % number]``.

        With more pictures than sources, the start is to be repeated.
        """
        number = len(self._pictures.sources)
        order = tuple((first + index) % number for index in range(min(count, number)))
        if order not in self._starts:
            assert self._wanted.source is not None
            stored = [self._pictures.sources[index] for index in order]
            start = self._started(self._wanted.source, stored, models, sides, checkpoint)
            self._starts[order] = replace(start, size=len(order))
        return self._starts[order]

    def _started(
        self, source: Source, stored: Sequence[StoredPicture], models: _Models, sides: _Sides, checkpoint: str
    ) -> _Start:
        wanted = self._wanted
        part = masked_part(self._pictures.mask, wanted)
        box = crop_of(part, stored[0], wanted) if part is not None and source.full_resolution else None
        if box is not None and len({(each.width, each.height) for each in self._pictures.sources}) > 1:
            expected = "pictures of one size, or inpaint_full_res false"
            raise field_error("init_images", "pictures of different sizes have no common masked area", expected)
        wholes = [self._opaque(each) for each in stored]
        image = self._batch(
            [self._placed(image, each, source, box) for image, each in zip(wholes, stored, strict=True)]
        )
        if part is None:
            latent = self._w.VAEEncode(pixels=image, vae=models.vae).only_output()
            if source.resize_mode == 3:
                latent = self._latent_of_size(latent)
            return self._for_inpainting_models(checkpoint, models, _Start(latent, sides), image)
        whole_mask = self._mask(source)
        mask = whole_mask if box is None else self._cropped(whole_mask, box)
        pasted = mask
        mask = self._fitted_mask(mask, source, box)
        if box is None:
            pasted = self._w.MaskComposite(destination=mask, source=mask, operation="add", x=0, y=0).only_output()
        around = self._batch(wholes) if box is not None else image
        if source.fill != 1:
            image = self._w.FillMaskedArea(image=image, mask=mask).only_output()
        if read_checkpoint(self._folders, checkpoint).inpaints:
            prepared = self._w.InpaintModelConditioning(
                positive=sides.positive, negative=sides.negative, vae=models.vae, pixels=image, mask=mask
            )
            return _Start(prepared[2], _Sides(prepared[0], prepared[1]), _Overlay(around, pasted, box))
        latent = self._w.VAEEncode(pixels=image, vae=models.vae).only_output()
        if source.resize_mode == 3 and box is None:
            latent = self._latent_of_size(latent)
        latent = self._emptied(latent, mask, source.fill, models.model)
        latent = self._w.SetLatentNoiseMask(samples=latent, mask=mask).only_output()
        return _Start(latent, sides, _Overlay(around, pasted, box))

    def _batch(self, images: Sequence[Link]) -> Link:
        batch = images[0]
        for other in images[1:]:
            batch = self._w.ImageBatch(image1=batch, image2=other).only_output()
        return batch

    def _opaque(self, stored: StoredPicture) -> Link:
        """Return a picture that came with the request, its transparent parts on white as in A1111."""
        if stored.name not in self._loaded:
            loaded = self._w.LoadImage(image=stored.name)
            image = loaded.IMAGE
            if stored.is_transparent:
                white = self._w.EmptyImage(width=stored.width, height=stored.height, batch_size=1, color=_WHITE)
                image = self._w.ImageCompositeMasked(
                    destination=image, source=white, x=0, y=0, resize_source=False, mask=loaded.MASK
                ).only_output()
            self._loaded[stored.name] = image
        return self._loaded[stored.name]

    def _mask(self, source: Source) -> Link:
        stored = self._pictures.mask
        assert stored is not None
        mask = self._w.LoadImageMask(image=stored.name, channel="red").only_output()
        if source.invert_mask:
            mask = self._w.InvertMask(mask=mask).only_output()
        if source.mask_blur:
            mask = self._w.BlurMask(mask=mask, sigma=source.mask_blur).only_output()
        return mask

    def _cropped(self, mask: Link, box: Box) -> Link:
        return self._w.CropMask(mask=mask, x=box.x, y=box.y, width=box.width, height=box.height).only_output()

    def _placed(self, image: Link, stored: StoredPicture, source: Source, box: Box | None) -> Link:
        """Return a picture in the size of the result, or the part of it in ``box``."""
        size = (self._wanted.width, self._wanted.height)
        if box is not None:
            cut = self._w.ImageCrop(image=image, x=box.x, y=box.y, width=box.width, height=box.height)
            return self._fitted(cut.only_output(), 2, size)
        if source.resize_mode == 3 or (stored.width, stored.height) == size:
            return image
        return self._fitted(image, source.resize_mode, size)

    def _fitted(self, image: Link, resize_mode: int, size: tuple[int, int]) -> Link:
        """Resize: 0 stretches, 1 crops, 2 fills."""
        width, height = size
        if resize_mode == 2:
            return self._w.ResizeAndFillImage(image=image, width=width, height=height).only_output()
        crop = "center" if resize_mode == 1 else "disabled"
        return self._w.ImageScale(
            image=image, upscale_method="lanczos", width=width, height=height, crop=crop
        ).only_output()

    def _fitted_mask(self, mask: Link, source: Source, box: Box | None) -> Link:
        """Resize a mask in the same way as its picture."""
        stored, size = self._pictures.sources[0], (self._wanted.width, self._wanted.height)
        if source.resize_mode == 3 and box is None:
            return mask
        if box is None and (stored.width, stored.height) == size:
            return mask
        image = self._w.MaskToImage(mask=mask).only_output()
        image = self._fitted(image, 2 if box is not None else source.resize_mode, size)
        return self._w.ImageToMask(image=image, channel="red").only_output()

    def _latent_of_size(self, latent: Link) -> Link:
        width, height = self._wanted.width, self._wanted.height
        return self._w.LatentUpscale(
            samples=latent, upscale_method="bilinear", width=width, height=height, crop="disabled"
        ).only_output()

    def _emptied(self, latent: Link, mask: Link, fill: int, model: Link) -> Link:
        """Replace the masked part of a latent by noise (``fill`` 2) or by nothing (3)."""
        if fill < 2:
            return latent
        other = self._w.EmptyLatentImage(
            width=self._wanted.width, height=self._wanted.height, batch_size=1
        ).only_output()
        if fill == 2:
            unit = self._w.ManualSigmas(sigmas="1, 0")
            other = self._w.AddNoise(model=model, noise=self._noise(0), sigmas=unit, latent_image=other).only_output()
        return self._w.LatentCompositeMasked(
            destination=latent, source=other, x=0, y=0, resize_source=False, mask=mask
        ).only_output()

    def _for_inpainting_models(
        self, checkpoint: str, models: _Models, start: _Start, image: Link | None = None
    ) -> _Start:
        """Give an inpainting model a mask of everything and the picture, or a grey one."""
        if not read_checkpoint(self._folders, checkpoint).inpaints:
            return start
        width, height = self._wanted.width, self._wanted.height
        if image is None:
            image = self._w.EmptyImage(width=width, height=height, batch_size=1, color=0x808080).only_output()
        prepared = self._w.InpaintModelConditioning(
            positive=start.sides.positive,
            negative=start.sides.negative,
            vae=models.vae,
            pixels=image,
            mask=self._w.SolidMask(value=1.0, width=width, height=height),
            noise_mask=False,
        )
        return _Start(start.latent, _Sides(prepared[0], prepared[1]), start.overlay)

    def _pasted(self, image: Link, overlay: _Overlay, size: int, count: int) -> Link:
        """Paste ``count`` results into the ``size`` pictures around the mask: the autoencoder changes the rest, too."""
        x = y = 0
        if overlay.box is not None:
            box = overlay.box
            x, y = box.x, box.y
            image = self._w.ImageScale(
                image=image, upscale_method="lanczos", width=box.width, height=box.height, crop="center"
            ).only_output()
        around = overlay.around
        if count > size:
            around = self._w.RepeatImageBatch(image=around, amount=-(-count // size)).only_output()
            if count % size:
                around = self._w.ImageFromBatch(image=around, batch_index=0, length=count).only_output()
        return self._w.ImageCompositeMasked(
            destination=around, source=image, x=x, y=y, resize_source=False, mask=overlay.mask
        ).only_output()


@dataclass(frozen=True, slots=True)
class _SecondPass:
    models: _Models
    sides: _Sides


def enlarged(
    w: WorkflowBuilder, resources: Resources, image: Link, upscaler: str, size: tuple[int, int], field: str
) -> Link:
    """Add the nodes that enlarge a picture to a size with an upscaler by A1111's name."""
    method = PIXEL_UPSCALERS.get(upscaler.lower())
    if method is None and (file := resources.upscale_model(upscaler, field)) is not None:
        model = w.UpscaleModelLoader(model_name=file)
        image = w.ImageUpscaleWithModel(upscale_model=model, image=image).only_output()
    scaled = w.ImageScale(image=image, upscale_method=method or "lanczos", width=size[0], height=size[1], crop="center")
    return scaled.only_output()
