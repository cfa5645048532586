"""``comfy.text_encoders``: text encoders by family."""
