"""``comfy_execution``: graphs that nodes expand to, and what a running node may ask of its run."""
