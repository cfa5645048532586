"""``comfy_extras.chainner_models``: networks that enlarge pictures."""
