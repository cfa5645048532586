"""``comfy_extras``: what packs import from its modules, except nodes; see :mod:`nodes.compat.extra_nodes`."""
