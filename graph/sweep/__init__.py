"""Sweeps: one workflow, run with every combination of several values for up to three of its inputs."""
