"""Converts pictures to masks, and masks to pictures."""

from __future__ import annotations

import torch

from nodes.batches import repeat_to
from nodes.mask.shape import as_batch
from nodes.pictures.fitting import scale
from nodes.resize import SizeError

CHANNELS = ("red", "green", "blue", "alpha")


def to_image(mask: torch.Tensor) -> torch.Tensor:
    """Convert masks [B, H, W] to grey pictures [B, H, W, 3]."""
    return as_batch(mask).unsqueeze(-1).expand(-1, -1, -1, 3).contiguous()


def from_channel(images: torch.Tensor, channel: str) -> torch.Tensor:
    """Return one channel of [B, H, W, C]. Raises SizeError for alpha if the pictures have none."""
    index = CHANNELS.index(channel)
    if index >= images.shape[-1]:
        raise SizeError(
            f"the pictures have {images.shape[-1]} channels and no {channel}; "
            f"choose one of {', '.join(CHANNELS[: images.shape[-1]])}"
        )
    return images[..., index].contiguous()


def from_color(images: torch.Tensor, color: int) -> torch.Tensor:
    """Return 1 where a picture has exactly the colour 0xRRGGBB, in 8 bits a channel, else 0."""
    wanted = torch.tensor([color >> 16 & 0xFF, color >> 8 & 0xFF, color & 0xFF], device=images.device)
    values = (images[..., :3].clamp(0.0, 1.0) * 255.0).round()
    return (values == wanted).all(dim=-1).to(torch.float32)


def join_alpha(images: torch.Tensor, alpha: torch.Tensor) -> torch.Tensor:
    """Join RGB [B, H, W, 3+] and a mask [b, h, w], 1 where transparent, to RGBA; the mask is resized to fit."""
    count = max(images.shape[0], alpha.shape[0])
    stretched = scale(alpha.reshape(-1, *alpha.shape[-2:], 1), images.shape[2], images.shape[1], "bilinear")
    return torch.cat((repeat_to(images, count)[..., :3], 1.0 - repeat_to(stretched, count)), dim=-1)


def split_alpha(images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Split pictures into RGB [B, H, W, 3] and the mask 1 - alpha [B, H, W]; it is zero if there is no alpha."""
    alpha = images[..., 3] if images.shape[-1] > 3 else torch.ones_like(images[..., 0])
    return images[..., :3].contiguous(), (1.0 - alpha).contiguous()
