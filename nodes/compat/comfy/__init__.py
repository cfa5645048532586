"""``comfy``. Submodules are available without import, as packs expect."""
