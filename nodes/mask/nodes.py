"""Masks: make, grow, feather, composite, to and from pictures."""
