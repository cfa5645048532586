"""What a sampler is told besides the prompt: where, when and how strongly it counts."""
