"""Builds the workflow that makes a picture from its A1111 parameters."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from graph.formats.a1111.model_files import ModelFiles
from graph.formats.a1111.prompts import Lora, Prompt, read_prompt
from graph.formats.a1111.samplers import (
    LATENT_UPSCALERS,
    PIXEL_UPSCALERS,
    STOCHASTIC,
    UPSCALE_MODELS,
    sampling_of,
)
from graph.formats.a1111.settings import LARGEST_SIDE, MOST_STEPS, SMALLEST_SIDE, Settings, Size, cut, strength_of
from graph.formats.a1111.text import Parameters, parse_parameters
from graph.workflow import Link, Workflow, WorkflowNode

DEFAULT_SIDE: Final = 512
DEFAULT_STEPS: Final = 20
DEFAULT_CFG: Final = 7.0

MOST_CLIP_LAYERS: Final = 24


class _Pair(NamedTuple):
    """The two conditionings of a sampler."""

    positive: Link
    negative: Link


def read_parameters(source: str | Parameters, files: ModelFiles | None = None) -> Workflow:
    """Return the workflow that makes a picture with these parameters, with ``notes`` on what is not converted.

    Model files that ``files`` lacks keep their recorded name, so that validation names them.
    """
    parameters = parse_parameters(source) if isinstance(source, str) else source
    return _Conversion(parameters, files or ModelFiles(None)).workflow()


class _Conversion:
    def __init__(self, parameters: Parameters, files: ModelFiles):
        self._parameters = parameters
        self._files = files
        self._settings = Settings(parameters.settings)
        self._nodes: dict[str, WorkflowNode] = {}
        self._note = self._settings.note
        self._hashes = self._settings.civitai_hashes()
        self._resources = self._settings.civitai_resources()
        self._embeddings = self._known_embeddings()

    def workflow(self) -> Workflow:
        prompt = self._prompt(self._parameters.prompt)
        negative = self._prompt(self._parameters.negative)
        if negative.loras:
            self._note("LoRAs in the negative prompt have no effect and were removed.")
        if prompt.weighted or negative.weighted:
            self._note("Weighted words differ slightly: A1111 keeps the mean of the text's vectors.")
        model, clip, vae = self._models()
        model, clip = self._loras(model, clip, prompt.loras)
        clip = self._clip_skip(clip)
        vae = self._vae(vae)
        guides = _Pair(self._encoded(clip, prompt, "Positive prompt"), self._encoded(clip, negative, "Negative prompt"))
        samples = self._sampled(model, clip, vae, guides)
        picture = self._add("VAEDecode", samples=samples, vae=vae)
        self._add("SaveImage", images=picture, filename_prefix="Sumi")
        self._settings.list_the_rest()
        return Workflow(self._nodes, notes=tuple(dict.fromkeys(self._settings.notes)))

    # -- nodes and settings

    def _add(self, class_type: str, title: str | None = None, /, **inputs: Any) -> Link:
        node_id = str(len(self._nodes) + 1)
        self._nodes[node_id] = WorkflowNode(class_type, inputs, title)
        return Link(node_id, 0)

    # -- models

    def _file(self, folder: str, kind: str, name: str, digits: str = "") -> str:
        """Return the file with that name or hash. If it is missing, return the recorded name and add a note."""
        found = self._files.find(folder, name, digits)
        if found is not None:
            return found
        recorded = name or digits
        known = " ".join(part for part in (f"“{name}”" if name else "", f"(hash {digits})" if digits else "") if part)
        unread = f" ({self._files.unread} files have not been hashed yet)" if self._files.unread else ""
        self._note(f"{kind} {known} is not in the folder models/{folder}{unread}.")
        return recorded if re.search(r"\.(safetensors|ckpt|pt|pth|bin|sft)$", recorded) else f"{recorded}.safetensors"

    def _models(self) -> tuple[Link, Link, Link]:
        name, digits = self._settings.take("Model"), self._settings.value("Model hash")
        if not name and not digits:
            digits = self._hashes.get("model", "")
            name, digits = ("", digits) if digits else self._resource_model()
        if name or digits:
            file = self._file("checkpoints", "Model", name, digits)
        else:
            file = next(iter(self._files.names("checkpoints")), "model.safetensors")
            self._note(f"The text names no model; “{file}” is used.")
        loader = self._add("CheckpointLoaderSimple", ckpt_name=file).node
        return Link(loader, 0), Link(loader, 1), Link(loader, 2)

    def _resource_model(self) -> tuple[str, str]:
        """Return name and hash of the checkpoint among Civitai's resources; empty if there is none."""
        for resource in self._resources:
            if _kind(resource) in ("checkpoint", "model"):
                return _named(resource)
        return "", ""

    def _loras(self, model: Link, clip: Link, loras: list[Lora]) -> tuple[Link, Link]:
        hashes = self._settings.hashes("Lora hashes")
        used = []
        for lora in loras:
            name = lora.name.lower()
            digits = hashes.get(name, "") or self._hashes.get(f"lora:{name}", "")
            used.append((self._file("loras", "LoRA", lora.name, digits), lora.model, lora.clip))
        used += self._resource_loras({file for file, *_ in used})
        for file, strength, text_strength in used:
            loader = self._add(
                "LoraLoader",
                model=model,
                clip=clip,
                lora_name=file,
                strength_model=strength,
                strength_clip=text_strength,
            ).node
            model, clip = Link(loader, 0), Link(loader, 1)
        return model, clip

    def _resource_loras(self, named: set[str]) -> Iterator[tuple[str, float, float]]:
        """Yield the LoRAs among Civitai's resources that the prompt does not name. Note other resources."""
        for resource in self._resources:
            kind, (name, digits) = _kind(resource), _named(resource)
            if kind in ("checkpoint", "model"):
                continue
            given = resource.get("weight", 1.0)
            label = f"Civitai resources: {kind or 'a resource'} “{cut(name or digits)}”"
            if kind not in ("lora", "lycoris", "locon", "dora"):
                self._note(f"{label} is not converted.")
                continue
            file = self._files.find("loras", name, digits)
            if file is None:
                self._note(f"{label} (weight {cut(str(given))}) is not in the folder models/loras; it is left out.")
            elif file not in named:
                strength = strength_of(given)
                if strength is None:
                    self._note(f"{label}: {cut(str(given))} is not a strength from -100 to 100; 1 is used.")
                    strength = 1.0
                yield file, strength, strength

    def _clip_skip(self, clip: Link) -> Link:
        skip = self._settings.whole(1, 0, MOST_CLIP_LAYERS, "Clip skip")
        return self._add("CLIPSetLastLayer", clip=clip, stop_at_clip_layer=-skip) if skip > 1 else clip

    def _vae(self, vae: Link) -> Link:
        name = self._settings.take("VAE")
        digits = self._settings.take("VAE hash") or self._hashes.get("vae", "")
        if name:
            return self._add("VAELoader", vae_name=self._file("vae", "VAE", name, digits))
        if not digits:
            return vae
        file = self._files.find("vae", digits=digits)
        if file is None:
            self._note(f"VAE (hash {cut(digits)}) is not in the folder models/vae; the model's own is used.")
            return vae
        return self._add("VAELoader", vae_name=file)

    def _known_embeddings(self) -> dict[str, str]:
        """Return the textual inversions that the prompts can name: lower case → their names in the embeddings folder.

        Since version 1.5 the text lists the ones it uses; before that, any installed one can be meant.
        """
        there = {}
        for name in self._files.names("embeddings"):
            stem = name.rpartition(".")[0]
            there[stem.rpartition("/")[2].lower()] = stem
        hashes = {
            key.removeprefix("embed:"): digits for key, digits in self._hashes.items() if key.startswith("embed:")
        }
        if "TI hashes" not in self._settings and not hashes:
            return {} if "Version" in self._settings else there
        used = {}
        for name, digits in (hashes | self._settings.hashes("TI hashes")).items():
            if name in there:
                used[name] = there[name]
            else:
                file = self._file("embeddings", "Embedding", name, digits)
                used[name] = file.rpartition(".")[0]
        return used

    # -- prompts

    def _prompt(self, text: str) -> Prompt:
        prompt = read_prompt(text, self._embeddings)
        self._settings.notes += prompt.notes
        return prompt

    def _encoded(self, clip: Link, prompt: Prompt, title: str) -> Link:
        first, *others = [self._add("CLIPTextEncode", title, clip=clip, text=part) for part in prompt.parts]
        for other in others:
            first = self._add("ConditioningConcat", conditioning_to=first, conditioning_from=other)
        return first

    # -- sampling

    def _sampled(self, model: Link, clip: Link, vae: Link, guides: _Pair) -> Link:
        size = self._settings.size("Size") or Size(DEFAULT_SIDE, DEFAULT_SIDE)
        if not size.is_usable():
            self._note(
                f"Size: {size} is not usable, since sides are from {SMALLEST_SIDE} to {LARGEST_SIDE} pixels; "
                f"{DEFAULT_SIDE}×{DEFAULT_SIDE} is used."
            )
            size = Size(DEFAULT_SIDE, DEFAULT_SIDE)
        target = self._hires_size(size)
        if "First pass size" in self._settings:
            size, target = self._first_pass(size)
        sampler = self._settings.take("Sampler")
        if not sampler:
            self._note("The text names no sampler; Euler is used.")
        sampling = sampling_of(sampler or "Euler", self._settings.take("Schedule type"))
        self._settings.notes += sampling.notes
        values: dict[str, Any] = {
            "seed": self._settings.seed(),
            "steps": self._settings.whole(DEFAULT_STEPS, 1, MOST_STEPS, "Steps"),
            "cfg": self._settings.number(DEFAULT_CFG, 0, 100, "CFG scale"),
            "sampler_name": sampling.sampler,
            "scheduler": sampling.schedule,
        }
        self._note_noise(sampling.sampler)
        denoise = self._settings.number(1.0, 0, 1, "Denoising strength")
        latent = self._add("EmptyLatentImage", width=size.width, height=size.height, batch_size=1)
        samples = self._add("KSampler", None, model=model, **_links(guides), latent_image=latent, **values, denoise=1.0)
        if target is not None:
            return self._second_pass(model, clip, vae, guides, samples, target, values, denoise)
        if "Denoising strength" in self._settings and denoise < 1.0:
            self._note(
                f"Denoising strength {denoise:g}: the picture was made from another one, which it does not contain. "
                "The workflow makes it from the text alone."
            )
        return samples

    def _note_noise(self, sampler: str) -> None:
        source = self._settings.take("RNG")
        if source.upper() != "CPU":
            self._note(
                "A1111 drew the noise on the GPU, Sumi draws it on the CPU: the same seed gives another picture. "
                "It gives the same one if A1111's random number generator is set to CPU."
            )
        delta = self._settings.take("ENSD", "Eta noise seed delta")
        if delta and STOCHASTIC.search(sampler):
            self._note(f"ENSD: {delta} is not converted: the noise of each step differs.")

    # -- hires fix

    def _hires_size(self, size: Size) -> Size | None:
        """Return the size of the second pass; None without one. A ``Hires resize`` of 0x0 leaves it to the factor."""
        resize = self._settings.size("Hires resize")
        factor = self._settings.number(0.0, 0, LARGEST_SIDE, "Hires upscale")
        if resize is not None and any(resize):
            width = resize.width or round(size.width * resize.height / size.height)
            height = resize.height or round(size.height * resize.width / size.width)
            target = Size(width, height)
        elif factor > 0:
            target = Size(int(size.width * factor), int(size.height * factor))
        else:
            return None
        return target if self._is_hires(target) else None

    def _is_hires(self, target: Size) -> bool:
        if not target.is_usable():
            self._note(
                f"Hires fix: {target} is not usable, since sides are from {SMALLEST_SIDE} to {LARGEST_SIDE} pixels; "
                "there is no second pass."
            )
        return target.is_usable()

    def _first_pass(self, size: Size) -> tuple[Size, Size | None]:
        """Handle texts from before 2023, with the final size in ``Size`` and the first one in ``First pass size``."""
        first = self._settings.size("First pass size")
        if first is None or not first.is_usable():
            if self._settings.value("First pass size") == "0x0":
                self._note("First pass size: 0x0 let A1111 choose; the picture is made in its full size at once.")
            elif first is not None:
                self._note(f"First pass size: {first} is not usable; the picture is made in its full size at once.")
            return size, None
        return first, size

    def _second_pass(
        self,
        model: Link,
        clip: Link,
        vae: Link,
        guides: _Pair,
        samples: Link,
        target: Size,
        values: Mapping[str, Any],
        denoise: float,
    ) -> Link:
        name = self._settings.take("Hires upscaler") or "Latent"
        values = {
            **values,
            "steps": self._settings.whole(0, 0, MOST_STEPS, "Hires steps") or values["steps"],
            "cfg": self._settings.number(values["cfg"], 0, 100, "Hires CFG Scale"),
        }
        sampler, schedule = self._settings.take("Hires sampler"), self._settings.take("Hires schedule type")
        if sampler or schedule:
            found = sampling_of(sampler or values["sampler_name"], schedule or values["scheduler"])
            self._settings.notes += found.notes
            values |= {"sampler_name": found.sampler, "scheduler": found.schedule}
        latent = self._upscaled(name, vae, samples, target)
        return self._add(
            "KSampler",
            "Hires fix",
            model=model,
            **_links(self._hires_guides(clip, guides)),
            latent_image=latent,
            **values,
            denoise=denoise,
        )

    def _hires_guides(self, clip: Link, guides: _Pair) -> _Pair:
        """Return the conditionings of the second pass: those of the first, unless it has its own prompts."""
        found = []
        for name, link, title in (
            ("Hires prompt", guides.positive, "Hires prompt"),
            ("Hires negative prompt", guides.negative, "Hires negative prompt"),
        ):
            text = self._settings.take(name)
            prompt = self._prompt(text) if text else None
            if prompt is not None and prompt.loras and name == "Hires prompt":
                self._note("LoRAs in the hires prompt are not converted: both passes use those of the first prompt.")
            found.append(link if prompt is None else self._encoded(clip, prompt, title))
        return _Pair(*found)

    def _upscaled(self, name: str, vae: Link, samples: Link, target: Size) -> Link:
        if (method := LATENT_UPSCALERS.get(name.lower())) is not None:
            if "antialiased" in name.lower():
                self._note(f"Hires upscaler “{name}”: latents are resized without antialiasing.")
            size = {"width": target.width // 8 * 8, "height": target.height // 8 * 8}
            return self._add("LatentUpscale", None, samples=samples, upscale_method=method, **size, crop="center")
        image = self._add("VAEDecode", samples=samples, vae=vae)
        method = PIXEL_UPSCALERS.get(name.lower())
        if method is None:
            file = self._upscale_model(name)
            loader = self._add("UpscaleModelLoader", model_name=file)
            image = self._add("ImageUpscaleWithModel", upscale_model=loader, image=image)
            method = "lanczos"
        image = self._add(
            "ImageScale", image=image, upscale_method=method, width=target.width, height=target.height, crop="center"
        )
        return self._add("VAEEncode", pixels=image, vae=vae)

    def _upscale_model(self, name: str) -> str:
        usual = UPSCALE_MODELS.get(name.lower())
        names: Iterator[str] = iter([name, *([usual] if usual else [])])
        found = next((file for each in names if (file := self._files.find("upscale_models", each))), None)
        return found or self._file("upscale_models", "Upscaler", usual or name)


def _links(guides: _Pair) -> dict[str, Link]:
    return {"positive": guides.positive, "negative": guides.negative}


def _kind(resource: Mapping[str, Any]) -> str:
    kind = resource.get("type")
    return kind.lower() if isinstance(kind, str) else ""


def _named(resource: Mapping[str, Any]) -> tuple[str, str]:
    """Return name and hash of one of Civitai's resources."""
    name, digits = (
        next((value for key in keys if isinstance(value := resource.get(key), str)), "")
        for keys in (("modelName", "name"), ("hash",))
    )
    return name, digits
