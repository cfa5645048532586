"""Node packs: found, imported one after the other, and read for the nodes that they bring."""
