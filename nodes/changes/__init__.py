"""Changes to how a model is sampled: its noise levels, its guidance, and the inside of its network.

Each change is a frozen record that a node adds to the model's handle; see :mod:`nodes.models.changes`.
"""
