"""``comfy_execution``: graphs that nodes expand to, and information about the current run."""
