"""The text that AUTOMATIC1111's web UI writes into pictures, read as a workflow.

``text`` parses the text and ``prompts`` its prompt syntax; ``samplers`` translates names, ``model_files`` finds
models by name or hash, and ``workflow`` builds the graph. ``Workflow.notes`` lists settings without a counterpart.
The format: https://github.com/AUTOMATIC1111/stable-diffusion-webui/wiki/Features, "PNG info".
"""

from __future__ import annotations

from graph.formats.a1111.text import Parameters, is_parameters, parse_parameters
from graph.formats.a1111.workflow import read_parameters

__all__ = ["Parameters", "is_parameters", "parse_parameters", "read_parameters"]
