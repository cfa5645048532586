"""``comfy_extras``: what packs import from its modules besides nodes; see :mod:`nodes.compat.extra_nodes`."""
