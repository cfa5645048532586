"""The cache of results between runs: a memory tier in front of a disk tier."""
