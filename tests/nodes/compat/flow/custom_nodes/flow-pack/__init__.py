"""A class-style pack of pictures, loops, validators and sleeping nodes, to test how graphs run."""

from . import apis, images, judges, lists, loops, sleepers

NODE_CLASS_MAPPINGS = {}
for module in (apis, images, judges, lists, loops, sleepers):
    NODE_CLASS_MAPPINGS.update(module.NODES)
