"""The IMAGE nodes, and the functions on picture tensors that they call."""
