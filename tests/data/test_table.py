"""Captions tables and other data sets of the user's own pairs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import datasets
import pytest

from imtext.data import RetrievalDataModule, Table
from imtext.data.reading.hub import load_parquet
from imtext.errors import DataError
from tests.data.shared import SMALL, ready


def table(path: Path, pictures: Path, cache: Path, **options: Any) -> RetrievalDataModule:
    return ready(Table(str(path), image_root=str(pictures / "Images"), cache_dir=str(cache), **SMALL, **options))


def test_csv_with_a_caption_per_row(pictures: Path, tmp_path: Path) -> None:
    data = table(pictures / "captions.txt", pictures, tmp_path)
    assert [len(texts) for texts in data.captions] == [2] * 12


def test_jsonl_with_ragged_captions(pictures: Path, tmp_path: Path) -> None:
    rows = [{"image": f"{i}.jpg", "captions": [f"caption {i} {n}" for n in range(1 + i % 3)]} for i in range(12)]
    (tmp_path / "own.jsonl").write_text("\n".join(map(json.dumps, rows)))
    data = table(tmp_path / "own.jsonl", pictures, tmp_path)
    assert [len(texts) for texts in data.captions] == [1, 2, 3] * 4
    batch = next(iter(data.val_dataloader()))
    assert len(batch["caption_image_id"]) == sum(len(data.captions[row]) for row in data.rows["val"])


def test_quoted_line_breaks_and_separators_stay(pictures: Path, tmp_path: Path) -> None:
    lines = ["image,caption"] + [f'{i}.jpg,"a dog, {i}\nruns\u2028fast"' for i in range(12)]
    (tmp_path / "own.csv").write_text("\n".join(lines))
    data = table(tmp_path / "own.csv", pictures, tmp_path)
    assert data.captions[3] == ["a dog, 3\nruns\u2028fast"]
    rows = [json.dumps({"image": f"{i}.jpg", "caption": f"a\u2028dog {i}"}, ensure_ascii=False) for i in range(12)]
    (tmp_path / "own.jsonl").write_text("\n".join(rows))
    assert table(tmp_path / "own.jsonl", pictures, tmp_path).captions[5] == ["a\u2028dog 5"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"image": "0.jpg", "caption": "a dog"}\n{oops', "line 2 is not JSON"),
        (b'{"image": "0.jpg", "captions": []}', "empty caption: 0.jpg"),
        ('{"image": "0.jpg",\n"caption": "caf\u00e9"}'.encode("latin-1"), "line 2 is not UTF-8"),
    ],
)
def test_broken_json_lines(pictures: Path, tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "own.jsonl").write_bytes(content)
    with pytest.raises(DataError, match=message):
        table(tmp_path / "own.jsonl", pictures, tmp_path)


def test_a_row_without_its_picture(pictures: Path, tmp_path: Path) -> None:
    (tmp_path / "own.jsonl").write_text('{"image": "0.jpg", "caption": "a dog"}\n{"caption": "a cat"}')
    with pytest.raises(DataError, match="row 2 has no image"):
        table(tmp_path / "own.jsonl", pictures, tmp_path)


def test_parquet_with_a_row_per_caption(pictures: Path, tmp_path: Path) -> None:
    """The same picture in several rows is one image; otherwise it would be in several splits."""
    rows = [row for row in range(12) for _ in range(2)]
    part = datasets.Dataset.from_dict(
        {
            "image": [(pictures / "Images" / f"{row}.jpg").read_bytes() for row in rows],
            "text": [f"caption {n}" for n in range(24)],
        }
    ).cast_column("image", datasets.Image())
    part.to_parquet(str(tmp_path / "all.parquet"))
    data = Table(str(tmp_path), cache_dir=str(tmp_path / "cache"), **SMALL)
    with_splits = {"all": load_parquet(tmp_path)["all"]}
    assert list(with_splits) == ["all"]
    data.setup()
    assert data.captions == [[f"caption {2 * n}", f"caption {2 * n + 1}"] for n in range(12)]


def test_any_data_set_of_the_hub(pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parts = {
        split: datasets.Dataset.from_dict(
            {
                "photo": [str(pictures / "Images" / f"{row}.jpg") for row in rows],
                "alt": [[f"caption {row}"] * (1 + row % 2) for row in rows],
            }
        ).cast_column("photo", datasets.Image())
        for split, rows in {"train": range(8), "dev": range(8, 12), "unused": range(0, 1)}.items()
    }
    asked: list[tuple[str, str | None]] = []

    def load(name: str, config: str | None) -> dict[str, datasets.Dataset]:
        asked.append((name, config))
        return parts

    monkeypatch.setattr("imtext.data.table.load_hub", load)
    common = {"image_column": "photo", "caption_columns": ["alt"], "cache_dir": str(tmp_path), **SMALL}
    data = ready(Table(hub_name="me/photos", hub_config="small", split="official", **common))
    assert asked == [("me/photos", "small")]
    assert data.rows == {"train": list(range(8)), "val": [8, 9, 10, 11], "test": []}
    assert [len(texts) for texts in data.captions][1:] == [2, 1] * 5 + [2]
    with pytest.raises(DataError, match=r"columns are photo, alt.*data\.image_column="):
        ready(Table(hub_name="me/photos", cache_dir=str(tmp_path), **SMALL))


def test_several_columns_some_empty(pictures: Path, tmp_path: Path) -> None:
    lines = ["image,caption_0,caption_1"] + [f"{i}.jpg,one {i},{'two' if i % 2 else ''}" for i in range(12)]
    (tmp_path / "own.csv").write_text("\n".join(lines))
    data = table(tmp_path / "own.csv", pictures, tmp_path)
    assert [len(texts) for texts in data.captions] == [1, 2] * 6


def test_column_mapping_and_split_column(pictures: Path, tmp_path: Path) -> None:
    splits = ["training"] * 8 + ["valid"] * 2 + ["test"] * 2
    lines = ["file,title,part"] + [f"{i}.jpg,thing {i},{splits[i]}" for i in range(12)]
    (tmp_path / "own.csv").write_text("\n".join(lines))
    data = table(
        tmp_path / "own.csv", pictures, tmp_path,
        image_column="file", caption_columns=["title"], split_column="part", split="official",
    )  # fmt: skip
    assert data.rows == {"train": list(range(8)), "val": [8, 9], "test": [10, 11]}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("image,caption\n0.jpg,a dog, running", "line 2 has more columns than the header, which has 2"),
        ("image,caption\n0.jpg", "line 2 has fewer"),
        ("image;caption\n0.jpg;a dog; running", "line 2 has more columns .* separated by semicolons; put captions"),
        ("image;caption\n0.jpg,a dog", "line 2 has fewer columns .* separated by semicolons"),
        ("0.jpg,a dog\n1.jpg,a cat", "first line must name the columns"),
        ("picture,caption\n0.jpg,a dog", r"data\.image_column="),
        ("image,caption\n0.jpg,", "empty caption: 0.jpg"),
        ("image,caption\nnone.jpg,a dog", r"none\.jpg.*data\.image_root="),
        (
            "image,words\n0.jpg,a dog",
            r"no column with a typical name.*columns are image, words\. .*data\.caption_columns",
        ),
        ("file,caption\n0.jpg,a dog", r"no column 'image'.*data\.image_column"),
        ("image,caption\n0.jpg,a dog", "too few"),
        ("image,caption\n", "no images"),
    ],
)
def test_mistakes(pictures: Path, tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "own.csv").write_text(content)
    with pytest.raises(DataError, match=message):
        table(tmp_path / "own.csv", pictures, tmp_path)


def test_no_file_or_two_sources(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no captions file"):
        ready(Table(str(tmp_path / "none.csv"), cache_dir=str(tmp_path), **SMALL))
    for arguments in ({}, {"path": "a.csv", "hub_name": "a/b"}):
        with pytest.raises(DataError, match=r"data\.path=.*data\.hub_name="):
            Table(**arguments)
    with pytest.raises(DataError, match="captions files"):
        Table(hub_name="a/b", split_column="part")
    with pytest.raises(DataError, match=r"data\.split=official"):
        Table("captions.csv", split_column="part")


def test_an_unknown_split(pictures: Path, tmp_path: Path) -> None:
    (tmp_path / "own.csv").write_text("image,caption,part\n0.jpg,a dog,holdout")
    with pytest.raises(DataError, match="unknown split 'holdout' in column 'part'; use train"):
        table(tmp_path / "own.csv", pictures, tmp_path, split_column="part", split="official")
    with pytest.raises(DataError, match=r"no column 'side'.*data\.split_column="):
        table(tmp_path / "own.csv", pictures, tmp_path, split_column="side", split="official")


@pytest.mark.parametrize(
    ("name", "encoding", "separator", "note"),
    [
        ("own.csv", "utf-8", ",", ""),
        ("own.csv", "utf-8-sig", ";", ", separated by semicolons"),
        ("own.txt", "utf-16", "\t", ", read as UTF-16, separated by tabs"),
        ("own.csv", "cp1252", ",", ", read as cp1252"),
    ],
)
def test_how_a_table_was_read_is_said(
    pictures: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    name: str,
    encoding: str,
    separator: str,
    note: str,
) -> None:
    caplog.set_level("INFO", "imtext")
    lines = [("image", "caption"), *((str(row), f"café {row}") for row in range(12))]
    (tmp_path / name).write_bytes("\r\n".join(map(separator.join, lines)).encode(encoding))
    data = table(tmp_path / name, pictures, tmp_path / "cache")
    assert data.captions[3] == ["café 3"]
    assert f"images from {tmp_path / name}{note}\n" in caplog.text


def test_the_separator_follows_the_chosen_columns(pictures: Path, tmp_path: Path) -> None:
    lines = ["file;title, in English", *(f"{row}.jpg;a dog, number {row}" for row in range(12))]
    (tmp_path / "own.csv").write_text("\n".join(lines))
    columns: dict[str, Any] = {"image_column": "file", "caption_columns": ["title, in English"]}
    assert table(tmp_path / "own.csv", pictures, tmp_path, **columns).captions[3] == ["a dog, number 3"]
