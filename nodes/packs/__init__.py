"""Finds node packs, imports them one after the other, and collects their nodes."""
