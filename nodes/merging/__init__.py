"""Merges models and text encoders, and saves the results."""
