"""The parts of ComfyUI that node packs ask for and Sumi does not have.

``names`` lists them, ``stand_ins`` makes the objects that packs import in their place, and ``errors`` reports their
use. ``table`` writes the list for docs/compatibility.md.
"""
