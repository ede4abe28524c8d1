"""What the layouts of exported CLIP models have in common: which files they need, and what those files say."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from tokenizers.normalizers import Normalizer

from imtext.errors import BundleError
from imtext.preprocess import Preprocess

Precision = Literal["fp32", "fp16", "quantized"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)

# The parts of an exported model, and keys of the mapping that `Layout.files` returns.
IMAGE, TEXT, TOKENIZER = "image graph", "text graph", "tokenizer"
PREPROCESS, TOKENIZER_CONFIG, CONFIG = "preprocessing", "settings of the tokenizer", "settings of the model"


@dataclass(frozen=True)
class Facts:
    """What a layout's files say about its graphs.

    Attributes:
        preprocess: preprocessing of pictures.
        pad_token: fills up short texts.
        max_length: maximum number of tokens of a text.
        causal: the text tower reads a text from the start and ignores what follows its end. Otherwise, without a mask,
            it also reads the padding: all texts are padded to the length that it was trained with.
        clean: what is done to texts before the tokenizer.
    """

    preprocess: Preprocess
    pad_token: str
    max_length: int
    causal: bool = False
    clean: Normalizer | None = None


@dataclass(frozen=True)
class Layout:
    """One way to arrange an exported model in a folder.

    Attributes:
        title: name of the layout in messages.
        marks: beginnings of file names that only this layout has.
        files: (names of all files, wanted precision) → part → file name, and the precision; raises BundleError if a
            file is missing.
        facts: part → content of its JSON file → `Facts`; raises KeyError, TypeError, ValueError or ConfigError if they
            are not as expected.
    """

    title: str
    marks: tuple[str, ...]
    files: Callable[[Collection[str], Precision | None], tuple[dict[str, str], Precision]]
    facts: Callable[[Mapping[str, Mapping[str, Any]]], Facts]

    def matches(self, names: Collection[str]) -> bool:
        """Whether files with these names have this layout, complete or not."""
        return any(name.startswith(self.marks) for name in names)


def require(names: Collection[str], wanted: Mapping[str, str], title: str) -> None:
    """Check that all files are there.

    Raises:
        BundleError: one is missing; the message names it and the layout.
    """
    missing = [f"{name} ({part})" for part, name in wanted.items() if name not in names]
    if missing:
        raise BundleError(f"it has the layout of {title}, but no {', '.join(missing)}")


def read_json(content: bytes) -> Mapping[str, Any]:
    """The object in a JSON file.

    Raises:
        ValueError: it is not one.
    """
    values = json.loads(content)
    if not isinstance(values, dict):
        raise ValueError("not a JSON object")  # noqa: TRY004  as an unreadable file
    return values


def pad_token(settings: Mapping[str, Any]) -> str:
    """The padding token of a `tokenizer_config.json`, which writes it plainly or as an object."""
    token = settings["pad_token"]
    return str(token["content"] if isinstance(token, dict) else token)


def side(size: Any) -> int:
    """One side of a square picture: a number, ``[224, 224]``, or an object such as ``{"shortest_edge": 224}``.

    Raises:
        ValueError: the sides differ.
    """
    sides = set(size.values() if isinstance(size, dict) else size if isinstance(size, list) else [size])
    if len(sides) != 1:
        raise ValueError(f"the picture is not square: {size}")
    return int(sides.pop())
