"""The node that extracts a LoRA from the difference of two models."""

from __future__ import annotations

from typing import Annotated

from graph.context import Context
from graph.node import Choices, ExtraPngInfo, Hint, Prompt, Range, node
from graph.results import NodeResult
from nodes.types import Clip, Model


@node(
    "LoraSave",
    display_name="Extract and Save Lora",
    category="_for_testing",
    output_node=True,
    experimental=True,
    hidden_as_lists=True,
)
def lora_save(
    *,
    filename_prefix: Annotated[str, Hint(multiline=False)] = "loras/ComfyUI_extracted_lora",
    rank: Annotated[int, Range(1, 4096, 1)] = 8,
    lora_type: Annotated[str, Choices(("standard", "full_diff"), as_object=True)],
    bias_diff: bool = True,
    model_diff: Model | None = None,
    text_encoder_diff: Clip | None = None,
    prompt: Prompt = None,
    extra_pnginfo: ExtraPngInfo = None,
    context: Context,
) -> NodeResult:
    """Save the difference of two models, from ModelMergeSubtract, as a LoRA of the given rank.

    The factors are the largest singular vectors of each weight's difference (Eckart and Young, 1936).
    Raises ExtractionError if nothing is connected, OutputFileError if the file cannot be written.
    """
    from nodes.lora import extraction

    kind: extraction.Kind = "full_diff" if lora_type == "full_diff" else "standard"
    files = extraction.save_extracted(
        context, model_diff, text_encoder_diff, rank, kind, bias_diff, filename_prefix, prompt, extra_pnginfo
    )
    return NodeResult(ui={"files": [file.as_ui() for file in files]})
