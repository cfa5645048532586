"""A pack that cannot be imported."""

raise RuntimeError("this pack is broken")
