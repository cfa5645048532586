"""The parameters of txt2img and img2img."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from graph.formats.a1111.samplers import Sampling, is_known_sampler, sampling_of, schedule_label, split_schedule
from server.interfaces.a1111.control import ControlUnit, read_units
from server.interfaces.a1111.fields import Fields, field_error, unsupported

RANDOM_SEEDS: Final = 4294967294
"""A1111 draws random seeds below this number."""
MOST_SEED: Final = 2**64 - 1
MOST_STEPS: Final = 1000
SIDES: Final = (16, 8192)
MOST_PICTURES: Final = 100
RESIZE_MODES: Final = ("Just resize", "Crop and resize", "Resize and fill", "Just resize (latent upscale)")
FILLS: Final = ("fill", "original", "latent noise", "latent nothing")
AUTOMATIC: Final = "Automatic"
EMPHASES: Final = ("Original", "No norm", "Ignore", "None")
_CONTROL: Final = ("controlnet",)
_SWITCHED_OFF: Final[tuple[Any, ...]] = (False, 0, None, "", {}, [])


@dataclass(frozen=True, slots=True)
class HiresFix:
    """A second pass over an enlarged picture. ``width`` and ``height`` are the final size."""

    width: int
    height: int
    scale: float
    upscaler: str
    steps: int
    denoise: float
    sampling: Sampling
    prompt: str
    negative: str
    checkpoint: str


@dataclass(frozen=True, slots=True)
class Source:
    """The pictures that img2img starts from, in base64, and how they are used. See A1111's img2img tab."""

    pictures: tuple[str, ...]
    resize_mode: int
    denoise: float
    mask: str
    mask_blur: float
    fill: int
    full_resolution: bool
    padding: int
    invert_mask: bool


@dataclass(frozen=True, slots=True)
class PictureRequest:
    """One request. ``seed`` and ``subseed`` are drawn already. ``sampler`` and ``scheduler`` are A1111's names."""

    prompt: str
    negative: str
    styles: tuple[str, ...]
    seed: int
    subseed: int
    subseed_strength: float
    resize_seed_from: tuple[int, int]
    sampler: str
    scheduler: str
    sampling: Sampling
    steps: int
    cfg: float
    width: int
    height: int
    batch_size: int
    batches: int
    eta: float | None
    noise_factor: float
    clip_skip: int
    emphasis: str
    checkpoint: str
    vae: str
    units: tuple[ControlUnit, ...]
    hires: HiresFix | None
    source: Source | None
    send_images: bool
    save_images: bool
    include_sources: bool

    @property
    def count(self) -> int:
        """Number of pictures."""
        return self.batch_size * self.batches

    def seed_of(self, index: int) -> int:
        """Return the seed of a picture: variations share one."""
        return self.seed if self.subseed_strength else (self.seed + index) % (MOST_SEED + 1)

    def subseed_of(self, index: int) -> int:
        return (self.subseed + index) % (MOST_SEED + 1)


def read_picture_request(
    body: Mapping[str, Any], options: Mapping[str, Any], *, image_to_image: bool
) -> PictureRequest:
    """Read the body of txt2img or img2img. ``options`` are the server's settings, which ``override_settings`` change.

    Raises RequestError (422) that names the field.
    """
    fields = Fields(body)
    settings = Fields({**options, **fields.object("override_settings")}, "override_settings.")
    _refuse_unsupported(fields)
    width, height = _side(fields, "width"), _side(fields, "height")
    sampler, scheduler = _names(fields.text("sampler_name") or _sampler_index(fields), fields.text("scheduler"))
    strength = fields.number("subseed_strength", 0.0, -1.0, 1.0)
    return PictureRequest(
        prompt=fields.text("prompt"),
        negative=fields.text("negative_prompt"),
        styles=fields.texts("styles"),
        seed=_seed(fields, "seed"),
        subseed=_seed(fields, "subseed"),
        subseed_strength=max(0.0, strength),  # some clients send -1 for none
        resize_seed_from=(
            max(0, fields.whole("seed_resize_from_w", 0, -1, SIDES[1])),
            max(0, fields.whole("seed_resize_from_h", 0, -1, SIDES[1])),
        ),
        sampler=sampler,
        scheduler=scheduler,
        sampling=_sampling(sampler, scheduler, "sampler_name"),
        steps=fields.whole("steps", 50, 1, MOST_STEPS),
        cfg=fields.number("cfg_scale", 7.0, 0.0, 100.0),
        width=width,
        height=height,
        batch_size=fields.whole("batch_size", 1, 1, MOST_PICTURES),
        batches=fields.whole("n_iter", 1, 1, MOST_PICTURES),
        eta=_eta(fields),
        noise_factor=fields.number("s_noise", 1.0, 0.0, 10.0),
        clip_skip=settings.whole("CLIP_stop_at_last_layers", 1, 1, 24),
        emphasis=EMPHASES[settings.choice("emphasis", EMPHASES, 0)],
        checkpoint=settings.text("sd_model_checkpoint"),
        vae=settings.text("sd_vae"),
        units=_units(fields),
        hires=None if image_to_image else _hires(fields, width, height, sampler, scheduler),
        source=_source(fields) if image_to_image else None,
        send_images=fields.flag("send_images", True),
        save_images=fields.flag("save_images", False),
        include_sources=fields.flag("include_init_images", False),
    )


def drawn_seed() -> int:
    """Draw a seed as A1111 does."""
    return random.randrange(RANDOM_SEEDS)


def _seed(fields: Fields, name: str) -> int:
    seed = fields.whole(name, -1, -1, MOST_SEED)
    return drawn_seed() if seed == -1 else seed


def _side(fields: Fields, name: str) -> int:
    return fields.whole(name, 512, *SIDES) // 8 * 8


def _sampler_index(fields: Fields) -> str:
    """Return the deprecated ``sampler_index``, which is a name. A1111's default is a number with no meaning."""
    value = fields.raw("sampler_index")
    return value if isinstance(value, str) else ""


def _names(sampler: str, scheduler: str) -> tuple[str, str]:
    """Return A1111's names of a sampler and a schedule; ``DPM++ 2M Karras`` names both."""
    sampler = sampler or "Euler"
    if not is_known_sampler(sampler):
        return sampler, scheduler
    name, schedule = split_schedule(sampler)
    if scheduler.strip().lower() in ("", AUTOMATIC.lower()):
        return name, schedule or AUTOMATIC
    return name, schedule_label(scheduler)


def _sampling(sampler: str, scheduler: str, name: str) -> Sampling:
    if not is_known_sampler(sampler):
        raise field_error(name, f"there is no sampler {sampler[:60]!r}", "a name from /sdapi/v1/samplers")
    found = sampling_of(sampler, scheduler)
    if any(note.startswith("Schedule") for note in found.notes):
        raise field_error("scheduler", f"there is no schedule {scheduler[:60]!r}", "a name from /sdapi/v1/schedulers")
    return found


def _eta(fields: Fields) -> float | None:
    return fields.number("eta", 1.0, 0.0, 10.0) if "eta" in fields else None


def _hires(fields: Fields, width: int, height: int, sampler: str, scheduler: str) -> HiresFix | None:
    if not fields.flag("enable_hr"):
        return None
    scale = fields.number("hr_scale", 2.0, 0.0, 16.0)
    across, down = fields.whole("hr_resize_x", 0, 0, SIDES[1]), fields.whole("hr_resize_y", 0, 0, SIDES[1])
    if across or down:
        wide, tall = across or down * width // height, down or across * height // width
    else:
        wide, tall = int(width * scale), int(height * scale)
    wide, tall = wide // 8 * 8, tall // 8 * 8
    if not all(SIDES[0] <= side <= SIDES[1] for side in (wide, tall)):
        expected = f"sides from {SIDES[0]} to {SIDES[1]} pixels"
        raise field_error("hr_scale", f"the final size {wide}×{tall} is not usable", expected)
    second_sampler, second_scheduler = fields.text("hr_sampler_name"), fields.text("hr_scheduler")
    if second_sampler in ("", "Use same sampler"):
        second_sampler = sampler
    if second_scheduler in ("", "Use same scheduler"):
        second_scheduler = scheduler
    second_sampler, second_scheduler = _names(second_sampler, second_scheduler)
    checkpoint = fields.text("hr_checkpoint_name")
    return HiresFix(
        width=wide,
        height=tall,
        scale=scale,
        upscaler=fields.text("hr_upscaler") or "Latent",
        steps=fields.whole("hr_second_pass_steps", 0, 0, MOST_STEPS) or fields.whole("steps", 50, 1, MOST_STEPS),
        denoise=fields.number("denoising_strength", 0.75, 0.0, 1.0),
        sampling=_sampling(second_sampler, second_scheduler, "hr_sampler_name"),
        prompt=fields.text("hr_prompt"),
        negative=fields.text("hr_negative_prompt"),
        checkpoint="" if checkpoint == "Use same checkpoint" else checkpoint,
    )


def _source(fields: Fields) -> Source:
    pictures = fields.texts("init_images")
    if not pictures:
        raise field_error("init_images", "is missing", "a list of pictures in base64")
    if len(pictures) > MOST_PICTURES:
        raise field_error("init_images", f"{len(pictures)} pictures are too many", f"at most {MOST_PICTURES}")
    batch_size = fields.whole("batch_size", 1, 1, MOST_PICTURES)
    if len(pictures) > batch_size:
        expected = f"at most batch_size pictures; send batch_size {len(pictures)} to draw one of each"
        raise field_error("init_images", f"{len(pictures)} pictures are too many for batch_size {batch_size}", expected)
    if fields.number("initial_noise_multiplier", 1.0, 0.0, 10.0) != 1.0:
        raise unsupported("initial_noise_multiplier", "Sumi starts with noise of the schedule's strength; send 1")
    return Source(
        pictures=pictures,
        resize_mode=fields.choice("resize_mode", RESIZE_MODES, 0),
        denoise=fields.number("denoising_strength", 0.75, 0.0, 1.0),
        mask=fields.text("mask"),
        mask_blur=_blur(fields),
        fill=fields.choice("inpainting_fill", FILLS, 0),
        full_resolution=fields.flag("inpaint_full_res", True),
        padding=fields.whole("inpaint_full_res_padding", 0, 0, SIDES[1]),
        invert_mask=fields.flag("inpainting_mask_invert", False),
    )


def _blur(fields: Fields) -> float:
    """Return the blur of both axes; A1111 also has one for each."""
    across, down = (fields.number(name, 4.0, 0.0, 256.0) for name in ("mask_blur_x", "mask_blur_y"))
    if across != down:
        raise unsupported("mask_blur_x", "the mask is blurred equally in both directions; send the same mask_blur_y")
    return fields.number("mask_blur", across, 0.0, 256.0)


def _units(fields: Fields) -> tuple[ControlUnit, ...]:
    """Return the ControlNet units. Raises RequestError (422) that names other scripts, unless they are switched off."""
    scripts = fields.object("alwayson_scripts")
    args: list[Any] = []
    for name, script in scripts.items():
        if not isinstance(script, dict):
            if _is_off(script):
                continue
            raise field_error(f"alwayson_scripts.{name[:60]}", "not usable", 'an object such as {"args": []}')
        given = script.get("args")
        if isinstance(given, dict):
            given = list(given.values())
        if given is not None and not isinstance(given, list):
            raise field_error(f"alwayson_scripts.{name}.args", "not usable", "a list")
        if name.lower() in _CONTROL:
            args += given or []
        elif any(not _is_off(argument) for argument in given or []):
            raise unsupported(f"alwayson_scripts.{name[:60]}", "Sumi does not have this script, only ControlNet")
    args += fields.raw("controlnet_units") if isinstance(fields.raw("controlnet_units"), list) else []
    return read_units(args)


def _is_off(argument: Any) -> bool:
    return any(argument is off or argument == off for off in _SWITCHED_OFF)


def _refuse_unsupported(fields: Fields) -> None:
    """Raise RequestError (422) for what would make another picture here."""
    if script := fields.text("script_name"):
        raise unsupported("script_name", f"Sumi does not have the script {script[:60]!r}")
    if fields.flag("tiling"):
        raise unsupported("tiling", "Sumi does not make tiles that repeat; send false")
    if fields.flag("restore_faces"):
        raise unsupported("restore_faces", "Sumi has no face restorers; send false")
    if fields.number("s_churn", 0.0, 0.0, 1000.0):
        raise unsupported("s_churn", "samplers have no churn in this interface; send 0")
    if fields.text("refiner_checkpoint") not in ("", "None"):
        raise unsupported("refiner_checkpoint", "no refiner in this interface; the example workflow of SDXL has one")
    if fields.text("firstpass_image"):
        raise unsupported("firstpass_image", "hires fix starts from the text; use img2img for a picture")
