"""The nodes of one run, in order, each with its key."""
