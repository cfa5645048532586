"""Functions on pictures as tensors and files, for every room that reads, writes or scales pictures."""
