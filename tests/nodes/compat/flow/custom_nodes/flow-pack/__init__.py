"""A class-style pack of pictures, loops, judges and sleepers: what runs of graphs are held to."""

from . import apis, images, judges, lists, loops, sleepers

NODE_CLASS_MAPPINGS = {}
for module in (apis, images, judges, lists, loops, sleepers):
    NODE_CLASS_MAPPINGS.update(module.NODES)
