"""The node that compares pictures with texts by CLIP."""

from __future__ import annotations

from typing import Annotated, Literal, NamedTuple

from graph.context import Context
from graph.node import ExtraPngInfo, Hint, Named, Prompt, Socket, node
from nodes.explain.results import CATEGORY, shown
from nodes.types import Clip, ClipVision, Image

Ranking = Literal["captions for each picture", "pictures for each caption"]


class ExplainedSimilarity(NamedTuple):
    """A card, the rankings, and the best caption of each picture, one a line."""

    picture: Image
    table: Annotated[str, Socket("STRING"), Named("table")]
    best: Annotated[str, Socket("STRING"), Named("best_captions")]


@node("ExplainCLIPSimilarity", display_name="CLIP Similarity", category=CATEGORY, output_node=True)
def explain_clip_similarity(
    *,
    clip: Clip,
    clip_vision: ClipVision,
    image: Image,
    captions: Annotated[str, Hint(multiline=True)] = "",
    ranking: Ranking = "captions for each picture",
    prompt: Prompt = None,
    extra_pnginfo: ExtraPngInfo = None,
    context: Context,
) -> ExplainedSimilarity:
    """Rank captions for each picture, or pictures for each caption, by CLIP (arXiv:2103.00020).

    ``clip`` needs the text projection that belongs to the image encoder, for example ViT-L/14 with its clip_l file.
    Captions are cut after 75 tokens. Raises ExplainError if the two do not belong together or there is no caption.
    """
    from nodes.explain import clip_card as drawing
    from nodes.explain.clip_similarity import similarities, texts_in

    texts = texts_in(captions)
    found = similarities(clip, clip_vision, image, texts)
    ranked = drawing.captions_table if ranking == "captions for each picture" else drawing.pictures_table
    best = "\n".join(texts[int(index)] for index in found.cosines.argmax(1))
    picture = drawing.clip_card(image, texts, found)
    return shown(context, picture, ranked(texts, found), values=[best], prompt=prompt, extra_pnginfo=extra_pnginfo)
