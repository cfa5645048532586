"""``comfy_api``: the interface of schema-style nodes. All its dated versions are the same here."""
