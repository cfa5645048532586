"""``comfy.cldm``: control networks, for packs."""
