"""Samplers: one function each, ``sampler(model, x, sigmas, …) -> x``.

``model(x, sigma)`` returns the denoised latent, ``x`` [B, C, h, w] starts at noise level
``sigmas[0]``, and ``sigmas`` float32 [n + 1] falls, usually to 0. Sigmas stay on the CPU, so that
their arithmetic never waits for a GPU. Solvers use the time ``lambda = -log(sigma)``,
half the logarithm of the signal-to-noise ratio.
"""
