"""From noise to a latent: noise levels, schedules, samplers, guidance and the KSampler nodes."""
