"""Reading captions and pictures: from files beside a captions table, or from a `datasets` data set."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from imtext.data.captions import SPLITS, CaptionedImages, Split, fingerprint
from imtext.errors import DataError
from imtext.preprocess import open_image

log = logging.getLogger(__name__)

# How data sets out there call the three splits.
SPLIT_NAMES: dict[str, Split] = {
    "train": "train", "training": "train", "restval": "train",
    "val": "val", "valid": "val", "validation": "val", "dev": "val",
    "test": "test", "testing": "test",
}  # fmt: skip
WAY_OUT = "Give a local folder or file with data.path=…, or try the embedded data set with data=shapes."


def read_table(path: Path) -> list[dict[str, Any]]:
    """Rows of a .csv, .tsv, .txt, .jsonl or .json file as dictionaries that all have the columns of the first.

    Raises:
        DataError: no such file, an unknown ending, or a line that cannot be read, with its number.
    """
    if not path.is_file():
        raise DataError(f"There is no captions file at {path.absolute()}. {WAY_OUT}")
    rows: list[dict[str, Any]] = []
    try:
        text = path.read_text(encoding="utf-8-sig")
        if path.suffix in (".csv", ".tsv", ".txt"):
            reader = csv.DictReader(
                io.StringIO(text, newline=""), delimiter="\t" if path.suffix == ".tsv" else ",", strict=True
            )
            names = reader.fieldnames or [""]
            if len(names) == 1 and any(mark in names[0] for mark in ";\t"):
                raise DataError(f"{path} has one column, {names[0]!r}: separate columns with commas")
            if Path(names[0]).suffix.lower() in (".jpg", ".jpeg", ".png", ".webp"):
                raise DataError(f"{path}: the first line must name the columns, such as image,caption")
            for row in reader:
                # DictReader keeps surplus values under None, and fills up with None: neither is what was meant.
                if None in row or None in row.values():
                    raise DataError(
                        f"{path}, line {reader.line_num}: {len(reader.fieldnames or ())} columns were announced and "
                        f"this line has {'more' if None in row else 'fewer'}. Put captions with commas into quotes."
                    )
                rows.append(dict(row))
        elif path.suffix == ".jsonl":
            for number, line in enumerate(text.split("\n"), 1):
                if line.strip():
                    try:
                        rows.append(json.loads(line))
                    except json.JSONDecodeError as error:
                        raise DataError(f"{path}, line {number} is not JSON: {error.msg}") from error
        elif path.suffix == ".json":
            rows = json.loads(text)
        else:
            raise DataError(f"{path.name} is none of .csv, .tsv, .txt, .jsonl or .json. {WAY_OUT}")
    except UnicodeDecodeError as error:
        broken = path.read_bytes()[: error.start].count(b"\n") + 1
        raise DataError(f"{path}, line {broken} is not UTF-8: save the file as UTF-8 (in Excel: CSV UTF-8)") from error
    except (csv.Error, json.JSONDecodeError) as error:
        raise DataError(f"{path} cannot be read: {error}") from error
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise DataError(f"{path} must hold a list of rows with named columns")
    for number, row in enumerate(rows, 1):
        if missing := rows[0].keys() - row.keys():
            raise DataError(f"{path}, row {number} lacks {', '.join(sorted(missing))}, which row 1 has")
    return rows


def caption_columns(columns: Sequence[str], wanted: Sequence[str] | None, source: str) -> list[str]:
    """Which columns hold captions: the `wanted` ones, or all with a telling name.

    Raises:
        DataError: naming the columns there are.
    """
    names = ("caption", "captions", "sentence", "sentences", "text")
    found = list(wanted or [name for name in columns if name in names or name.startswith("caption_")])
    if not found or set(found) - set(columns):
        raise DataError(
            f"{source} has the columns {', '.join(columns)}; "
            + (f"{', '.join(sorted(set(found) - set(columns)))} is not among them" if found else "none is a caption's")
            + ". Name the right ones with data.caption_columns=[…]."
        )
    return found


def captions_of(row: Mapping[str, Any], columns: Sequence[str]) -> list[str]:
    """All captions in a row; a column may hold one or a list of them. Missing ones are left out."""
    captions: list[str] = []
    for column in columns:
        value = row.get(column)
        # An empty list is an empty caption: somebody meant to write one.
        captions += [str(caption) for caption in value] or [""] if isinstance(value, list) else [str(value or "")]
    return captions if len(columns) == 1 else [caption for caption in captions if caption.strip()]


def from_files(
    rows: Iterable[tuple[str, list[str], Split | None]], image_root: Path, source: str, target_size: int
) -> CaptionedImages:
    """Pictures in files. Rows that name the same picture are one image with more captions.

    Args:
        rows: for each row a picture's path (absolute or below `image_root`), captions, and its split if given.
        image_root: folder that relative paths start from.
        source: what to call it in messages.
        target_size: JPEGs may be decoded to this size or a little above.

    Raises:
        DataError: pictures are missing, or one is in two splits.
    """
    captions: dict[str, list[str]] = {}
    split_of: dict[str, Split | None] = {}
    for name, texts, split in rows:
        captions.setdefault(name, []).extend(texts)
        if split_of.setdefault(name, split) != split:
            raise DataError(f"{name} in {source} is in two splits, {split_of[name]} and {split}")
    names = list(captions)
    paths = [image_root / name for name in names]
    missing = [name for name, path in zip(names, paths, strict=True) if not path.is_file()]
    if missing:
        raise DataError(
            f"{len(missing)} of {len(names)} pictures named in {source} are not below {image_root.absolute()}: "
            f"{', '.join(missing[:3])}{' …' if len(missing) > 3 else ''}. Give their folder with data.image_root=…"
        )

    def load(row: int) -> Image.Image:
        return open_image(paths[row], target_size)

    marks = [_file_mark(path) for path in paths]
    texts_of = [captions[name] for name in names]
    official = _by_split([split_of[name] for name in names]) if any(split_of.values()) else None
    key = fingerprint([*marks, json.dumps(texts_of)])
    return CaptionedImages(source, texts_of, names, load, key, official)


def from_datasets(
    dataset: Mapping[str, Any], image_column: str, columns: Sequence[str] | None, source: str, target_size: int
) -> CaptionedImages:
    """A `datasets.DatasetDict` with an image column; its splits, where it has several, become `official`.

    Rows with the same picture are one image with more captions, in the split where it comes first.

    Raises:
        DataError: a column is missing.
    """
    import datasets

    parts: list[Any] = []
    captions: list[list[str]] = []
    names: list[str] = []
    splits: list[Split | None] = []
    marks: list[str] = []  # of the pictures' content
    positions: list[int] = []  # where each picture stands in the concatenated parts
    known: dict[str, int] = {}
    rows = 0
    for split, part in dataset.items():
        if split not in SPLIT_NAMES:
            log.warning(
                "%s: the split %r is none of %s; official splits leave it out", source, split, list(SPLIT_NAMES)
            )
        if image_column not in part.column_names:
            raise DataError(
                f"{source} has the columns {', '.join(part.column_names)}; {image_column!r} is not among them. "
                "Name the right one with data.image_column=…"
            )
        texts = caption_columns(part.column_names, columns, source)
        part = part.cast_column(image_column, datasets.Image(decode=False))
        for index, row in enumerate(part.select_columns([image_column, *texts])):
            mark = _content(row[image_column]) or f"nothing {split}/{index}"
            image = known.setdefault(mark, len(names))
            if image == len(names):
                captions.append([])
                names.append(f"{split}/{index}")
                splits.append(SPLIT_NAMES.get(split))
                marks.append(mark)
                positions.append(rows + index)
            captions[image] += captions_of(row, texts)
        rows += len(part)
        parts.append(part.select_columns([image_column]))

    everything = datasets.concatenate_datasets(parts) if parts else []

    def load(row: int) -> Image.Image:
        picture = everything[positions[row]][image_column]
        if picture is None:
            raise ValueError("no picture")
        return open_image(picture["bytes"] or Path(picture["path"]), target_size)

    official = _by_split(splits) if len(parts) > 1 else None
    return CaptionedImages(source, captions, names, load, fingerprint([*marks, json.dumps(captions)]), official)


def _content(picture: Mapping[str, Any] | None) -> str:
    """What identifies a picture: a hash of its bytes, or the name, size and time of its file."""
    if picture and picture["bytes"]:
        return hashlib.blake2b(picture["bytes"], digest_size=16).hexdigest()
    path = Path(picture["path"]) if picture and picture["path"] else None
    return _file_mark(path) if path is not None and path.is_file() else ""


def _file_mark(path: Path) -> str:
    stat = path.stat()
    return f"{path.absolute()} {stat.st_size} {stat.st_mtime_ns}"


def load_hub(name: str, config: str | None = None) -> Mapping[str, Any]:
    """A data set of the Hugging Face hub, downloaded once and then kept by `datasets`.

    Raises:
        DataError: it does not exist or cannot be reached, with the ways out.
    """
    import datasets
    import huggingface_hub
    from huggingface_hub.errors import HfHubHTTPError

    offline = huggingface_hub.constants.HF_HUB_OFFLINE
    try:
        huggingface_hub.HfApi().dataset_info(name, timeout=10)
    except HfHubHTTPError as error:
        raise DataError(
            f"The hub has no data set {name!r} that you may read ({type(error).__name__}). "
            f"Check the name, or log in. {WAY_OUT}"
        ) from error
    except Exception as error:  # noqa: BLE001  no answer; a copy from last time may be there
        log.warning("The hub does not answer (%s); looking for an earlier download of %s", type(error).__name__, name)
        offline = True
    # Otherwise `datasets` asks again and again for many minutes before it says so.
    before = huggingface_hub.constants.HF_HUB_OFFLINE, datasets.config.HF_HUB_OFFLINE
    huggingface_hub.constants.HF_HUB_OFFLINE = datasets.config.HF_HUB_OFFLINE = offline
    try:
        loaded = datasets.load_dataset(name, config)
    except Exception as error:  # datasets raises a dozen kinds; all of them mean that there is no data
        reason = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no details'}"
        if offline:
            reason = "no connection, and no earlier download"
        raise DataError(f"The data set {name!r} could not be loaded from the hub ({reason}). {WAY_OUT}") from error
    finally:
        huggingface_hub.constants.HF_HUB_OFFLINE, datasets.config.HF_HUB_OFFLINE = before
    return loaded if isinstance(loaded, Mapping) else {"train": loaded}


def load_parquet(folder: Path) -> Mapping[str, Any]:
    """Parquet files below a folder; the split is the word before the first dash, `train-00000-of-00003.parquet`.

    Raises:
        DataError: a file cannot be read.
    """
    import datasets

    files: dict[str, list[str]] = {}
    for file in sorted(folder.rglob("*.parquet")):
        files.setdefault(file.stem.split("-")[0], []).append(str(file))
    try:
        return {split: datasets.Dataset.from_parquet(part) for split, part in files.items()}
    except Exception as error:  # pyarrow and datasets each have their own kinds
        raise DataError(f"The parquet files below {folder} cannot be read: {error}") from error


def _by_split(splits: Sequence[Split | None]) -> dict[Split, list[int]]:
    return {name: [row for row, split in enumerate(splits) if split == name] for name in SPLITS}
