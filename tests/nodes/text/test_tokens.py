"""Word groups fill chunks of 77 tokens."""

import json

import pytest

from nodes.text.tokenizer import PromptError
from nodes.text.tokens import MAX_CHUNKS, ROOM, Token, chunked, describe

CAT: Token = (2368, 1.0, "cat</w>")
DOG: Token = (1929, 1.2, "dog</w>")
START: Token = (49406, 1.0, "<|startoftext|>")
END: Token = (49407, 1.0, "<|endoftext|>")


def lengths(chunks: list[list[Token]]) -> list[int]:
    """Tokens of text in each chunk: what lies between the start and the first end token."""
    return [chunk.index(END) - 1 for chunk in chunks]


def test_no_text_is_one_chunk_of_padding() -> None:
    assert chunked([]) == chunked([[]]) == [[START, *[END] * 76]]


def test_sd2_pads_with_exclamation_marks_behind_the_end_token() -> None:
    [chunk] = chunked([[CAT]], padding=0)
    assert chunk == [START, CAT, END, *[(0, 1.0, "!")] * 74]


@pytest.mark.parametrize(
    ("groups", "expected"),
    [
        ([75], [75]),
        ([76], [75, 1]),
        ([70, 5], [75]),
        ([70, 7], [70, 7]),  # a short group moves whole
        ([70, 8], [75, 3]),  # a long one is split
        ([75, 8], [75, 8]),
        ([74, 3, 160], [74, 75, 75, 13]),
        ([7] * 22, [70, 70, 14]),
    ],
)
def test_groups_fill_chunks(groups: list[int], expected: list[int]) -> None:
    chunks = chunked([[CAT] * size for size in groups])
    assert lengths(chunks) == expected
    assert {len(chunk) for chunk in chunks} == {77}
    assert sum(chunk.count(CAT) for chunk in chunks) == sum(groups)


def test_there_is_an_end_to_chunks() -> None:
    assert len(chunked([[CAT] * (MAX_CHUNKS * ROOM)])) == MAX_CHUNKS
    with pytest.raises(PromptError, match="75,000 tokens"):
        chunked([[CAT] * (MAX_CHUNKS * ROOM + 1)])


def test_chunks_can_be_read_and_stored() -> None:
    tokens = {"l": chunked([[CAT] * 74, [DOG, DOG]])}
    assert (
        describe(tokens)
        == f"l 1/2 (74 tokens): {' '.join(['cat</w>'] * 74)}\nl 2/2 (2 tokens): dog</w>×1.2 dog</w>×1.2"
    )
    assert describe({"l": chunked([])}) == describe({"l": chunked([], padding=0)}) == "l 1/1 (0 tokens):"
    assert describe({"l": chunked([[CAT] * 75], padding=0)}).startswith("l 1/1 (75 tokens): cat</w>")
    assert json.loads(json.dumps(tokens)) == {"l": [[list(token) for token in chunk] for chunk in tokens["l"]]}
