"""Captions of equal text that describe different pictures."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from imtext.preprocess.cleaning import canonical

NONE, PADDING = -1, -2  # different, so that they never match


@dataclass(frozen=True)
class SharedTexts:
    """The texts that more than one picture has.

    Attributes:
        ids: row of a picture → for each of its captions the id of its text, -1 if no other picture has it. Pictures
            without shared texts have no entry.
        num_texts: number of shared texts.
        most: largest number of shared texts of a picture.
    """

    ids: dict[int, list[int]] = field(default_factory=dict)
    num_texts: int = 0
    most: int = 0

    @property
    def num_captions(self) -> int:
        """Number of captions with a shared text."""
        return sum(text != NONE for texts in self.ids.values() for text in texts)

    def __str__(self) -> str:
        """A part of the sentence about the data; empty if nothing is shared."""
        if not self.ids:
            return ""
        return f"; {self.num_captions:,} captions of {self.num_texts:,} texts are shared by several images"

    def of_captions(self, captions: Sequence[tuple[int, int]]) -> Tensor:
        """``[N]`` int64: the text ids of captions, each given as (row, number of the caption in its row)."""
        found = [self.ids[row][number] if row in self.ids else NONE for row, number in captions]
        return torch.tensor(found, dtype=torch.int64)

    def of_images(self, rows: Sequence[int]) -> Tensor:
        """``[B, S]`` int64: the shared texts of each picture, padded by -2; S is `most`."""
        found = torch.full((len(rows), self.most), PADDING)
        for position, row in enumerate(rows):
            texts = _distinct(self.ids.get(row, []))
            found[position, : len(texts)] = torch.tensor(texts, dtype=torch.int64)
        return found


def find_shared_texts(captions: Sequence[Sequence[str]], rows: Iterable[int]) -> SharedTexts:
    """Find the captions whose text another picture has, too.

    Texts are equal if they are so in lower case, without ASCII punctuation and with single blanks (`canonical`), so
    that ``A dog.`` equals ``a dog``. A text of nothing but punctuation only equals itself.

    Args:
        captions: captions of the whole source, by row.
        rows: the rows in use.
    """
    cleaning = canonical()
    texts = {row: [cleaning.normalize_str(text) or text for text in captions[row]] for row in rows}
    first: dict[str, int] = {}  # the first row that has a text
    ids: dict[str, int] = {}
    for row, own in texts.items():
        for text in own:
            if first.setdefault(text, row) != row:
                ids.setdefault(text, len(ids))
    found = {row: [ids.get(text, NONE) for text in own] for row, own in texts.items() if any(t in ids for t in own)}
    return SharedTexts(found, len(ids), max((len(_distinct(own)) for own in found.values()), default=0))


def _distinct(texts: Sequence[int]) -> list[int]:
    """The ids of shared texts in a list, each once, in the order in which they come."""
    return [text for text in dict.fromkeys(texts) if text != NONE]
