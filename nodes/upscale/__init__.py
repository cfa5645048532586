"""Enlarges pictures with networks trained for this purpose."""
