"""CLIP's byte-level BPE, which maps text to ids of a vocabulary of 49,408.

Radford et al., "Learning Transferable Visual Models From Natural Language Supervision"
(arXiv:2103.00020); Sennrich et al. (arXiv:1508.07909) for BPE. The merges are OpenAI's, see
MERGES-LICENSE. The algorithm runs in `tokenizers`, the library behind transformers' CLIPTokenizer, with the
same settings; importing transformers takes about thirty times as long.

Like transformers, and unlike OpenAI's script, it does not repair broken text: mojibake, curly quotes and
HTML entities (``&amp;``) are tokenized as they are written. On other text the three agree, except for a Greek
capital sigma at the end of a word (σ here, ς there).
"""

from __future__ import annotations

import gzip
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from graph.errors import SumiError
from nodes.models.text_config import VOCABULARY_SIZE

if TYPE_CHECKING:
    from tokenizers import Tokenizer

START: Final = VOCABULARY_SIZE - 2
END: Final = VOCABULARY_SIZE - 1
START_WORD: Final = "<|startoftext|>"
END_WORD: Final = "<|endoftext|>"
WORD_END: Final = "</w>"
"""The end of a piece that ends a word."""
MAX_BYTES: Final = 200_000
"""Longer texts (in UTF-8) are refused: probably a pasted file. 10,000 words take about 60,000 bytes."""

_MERGES = Path(__file__).with_name("merges.txt.gz")
_WORD = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"


class PromptError(SumiError):
    """A prompt cannot be tokenized: it is too long, nested too deep, or not valid Unicode."""


class Piece(NamedTuple):
    """An entry of the vocabulary. ``word`` is written in CLIP's byte alphabet; ``</w>`` ends a word."""

    id: int
    word: str


def tokenize(text: str) -> list[Piece]:
    """Return the pieces of ``text``, without start and end tokens.

    Text is NFC-normalized and lower-cased; white space only separates words; each digit is a separate word.
    ``<|startoftext|>`` and ``<|endoftext|>`` in the text become those tokens.
    Raises PromptError for texts over MAX_BYTES and for unpaired surrogates.
    """
    check(text)
    encoded = _tokenizer().encode(text, add_special_tokens=False)
    return [Piece(*pair) for pair in zip(encoded.ids, encoded.tokens, strict=True)]


def check(text: str) -> None:
    """Raise PromptError if ``text`` is too long or contains an unpaired surrogate."""
    try:
        size = len(text.encode("utf-8"))
    except UnicodeEncodeError as error:
        raise PromptError(
            f"the prompt holds an unpaired surrogate, \\u{ord(text[error.start]):04x}, at character {error.start}: "
            "half of an emoji or of a rare character; type it again"
        ) from error
    if size > MAX_BYTES:
        raise PromptError(f"the prompt is {size:,} bytes long; the limit is {MAX_BYTES:,}")


def vocabulary() -> dict[str, int]:
    """Map each word piece to its id: 256 bytes, the same ending a word, a piece for each merge, start and end."""
    alphabet = _byte_alphabet()
    words = [
        *alphabet,
        *(character + WORD_END for character in alphabet),
        *(left + right for left, right in merges()),
        START_WORD,
        END_WORD,
    ]
    return {word: number for number, word in enumerate(words)}


def bytes_of(word: str) -> bytes:
    """Return the bytes that a word piece stands for, without the ``</w>`` at the end of a word.

    They are UTF-8, but a piece may hold only some bytes of a character.
    """
    by_character = _bytes_by_character()
    return bytes(by_character[character] for character in word.removesuffix(WORD_END))


def merges() -> list[tuple[str, str]]:
    """Return the pairs that BPE joins, most frequent first."""
    lines = gzip.decompress(_MERGES.read_bytes()).decode("utf-8").splitlines()
    return [(left, right) for left, _, right in (line.partition(" ") for line in lines)]


def _byte_alphabet() -> list[str]:
    """Return a visible character for each byte, in the vocabulary's order: bytes printable in Latin-1 come first."""
    return list(_bytes_by_character())


@cache
def _bytes_by_character() -> dict[str, int]:
    """Map the visible characters to the bytes that they stand for."""
    visible = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    hidden = sorted(set(range(256)) - set(visible))
    return {chr(byte): byte for byte in visible} | {chr(0x100 + number): byte for number, byte in enumerate(hidden)}


@cache
def _tokenizer() -> Tokenizer:
    """Build the tokenizer, which takes a fifth of a second."""
    from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers

    bpe = models.BPE(vocab=vocabulary(), merges=merges(), end_of_word_suffix=WORD_END, unk_token=END_WORD)
    tokenizer = Tokenizer(bpe)
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_WORD), behavior="removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    tokenizer.add_special_tokens([AddedToken(word, special=True, normalized=False) for word in (START_WORD, END_WORD)])
    return tokenizer
