"""Draws cards: pictures that explain something with film strips, charts, matrices and tables.

A card is readable when it is shown 300 pixels wide, and on light and dark pages, since it has its own background.
"""
