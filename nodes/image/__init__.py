"""Pictures as tensors: IMAGE nodes and the maths they call."""
