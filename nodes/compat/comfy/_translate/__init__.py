"""ComfyUI's forms of a sampling run into Sumi's and back: model options, conditions, calls of the network.

``options`` translates a model's changes, with the adapters of ``stages`` and ``wrappers`` for packs' functions and
those of ``native`` for Sumi's; ``conditions`` the conditions of a side. ``translation`` joins them for one run, and
keeps each translation.
"""
