"""``comfy_api``: the interface of schema-style nodes. Its dated versions are one and the same here."""
