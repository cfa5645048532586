"""A sampler and two schedules for every node that takes one by name, added as packs write it."""

import comfy.samplers
import torch
from comfy.k_diffusion import sampling as k_diffusion_sampling
from comfy.samplers import KSampler, SchedulerHandler


@torch.no_grad()
def sample_plain_euler(model, x, sigmas, extra_args=None, callback=None, disable=None):
    """Euler's method."""
    extra_args = {} if extra_args is None else extra_args
    s_in = x.new_ones([x.shape[0]])
    for i in range(len(sigmas) - 1):
        denoised = model(x, sigmas[i] * s_in, **extra_args)
        if callback is not None:
            callback({"x": x, "i": i, "sigma": sigmas[i], "sigma_hat": sigmas[i], "denoised": denoised})
        x = x + (x - denoised) / sigmas[i] * (sigmas[i + 1] - sigmas[i])
    return x


def as_normal(model_sampling, steps):
    """The same as Sumi's "normal"."""
    return comfy.samplers.normal_scheduler(model_sampling, steps)


def halves(n, sigma_min, sigma_max):
    """Each level half the one before."""
    return torch.tensor([sigma_max / 2**i for i in range(n)] + [0.0])


for name, function in {"plain_euler": sample_plain_euler}.items():
    setattr(k_diffusion_sampling, f"sample_{name}", function)
    KSampler.SAMPLERS.insert(KSampler.SAMPLERS.index("heun"), name)
comfy.samplers.SAMPLER_NAMES.append("without_function")
comfy.samplers.SCHEDULER_HANDLERS["as_normal"] = SchedulerHandler(as_normal)
comfy.samplers.SCHEDULER_HANDLERS["halves"] = SchedulerHandler(halves, use_ms=False)
KSampler.SCHEDULERS += ["as_normal", "halves"]

NODE_CLASS_MAPPINGS = {}
