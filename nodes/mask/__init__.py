"""The MASK nodes, and the functions on masks that they call."""
