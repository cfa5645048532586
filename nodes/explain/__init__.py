"""Nodes that show what happens inside Stable Diffusion: each returns a card and a table, and shows both."""
