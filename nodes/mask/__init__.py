"""Masks: MASK nodes and the maths they call."""
