"""LoRA files and similar ones: names, formats, application to models and text encoders, extraction."""
