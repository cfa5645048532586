"""Pictures as tensors and as files, for every room that reads, writes or scales them."""
