"""Translates ComfyUI's forms of a sampling run into Sumi's and back: model options, conditions, calls of the network.

``options`` translates a model's changes. ``stages`` and ``wrappers`` adapt packs' functions to Sumi's stages;
``native`` adapts Sumi's functions for packs. ``conditions`` translates the conditions of a side. ``translation`` joins
them for one run, and keeps each translation.
"""
