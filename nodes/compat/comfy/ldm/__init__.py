"""``comfy.ldm``: attention, as packs' patches of the network compute it. Sumi's networks are in nodes.models."""
