"""Reading captions and pictures, and saying clearly what is wrong with them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import datasets
import huggingface_hub
import pytest
from imtext.data.sources import load_hub, load_parquet

from imtext.data import Flickr8k, RetrievalDataModule, Shapes, Table
from imtext.errors import DataError, ImtextError

SMALL: dict[str, Any] = {"image_size": 32, "batch_size": 4}


def ready(data: RetrievalDataModule) -> RetrievalDataModule:
    data.setup()
    return data


def write_parquet(folder: Path, pictures: Path, parts: dict[str, range]) -> None:
    """The layout of jxie/flickr8k."""
    for split, rows in parts.items():
        part = datasets.Dataset.from_dict(
            {
                "image": [str(pictures / "Images" / f"{row}.jpg") for row in rows],
                **{f"caption_{i}": [f"{split} picture number {row} {i}" for row in rows] for i in range(3)},
            }
        ).cast_column("image", datasets.Image())
        part = part.map(lambda row: row)  # pictures as bytes, not as paths
        part.to_parquet(str(folder / f"{split}-00000-of-00001.parquet"))


class TestFlickr8k:
    def test_zip_layout(self, pictures: Path, tmp_path: Path) -> None:
        data = ready(Flickr8k(str(pictures), cache_dir=str(tmp_path), **SMALL))
        assert {split: len(rows) for split, rows in data.rows.items()} == {"train": 7, "val": 3, "test": 2}
        assert [len(texts) for texts in data.captions] == [2] * 12

    def test_official_lists(self, folder: Path, tmp_path: Path) -> None:
        for name, rows in {"train": range(8), "dev": range(8, 10), "test": range(10, 12)}.items():
            lines = "".join(f"{row}.jpg\n" for row in rows)
            (folder / f"Flickr_8k.{name}Images.txt").write_text(lines)
        data = ready(Flickr8k(str(folder), split="official", cache_dir=str(tmp_path), **SMALL))
        assert data.rows == {"train": list(range(8)), "val": [8, 9], "test": [10, 11]}

    def test_parquet(self, pictures: Path, tmp_path: Path) -> None:
        write_parquet(tmp_path, pictures, {"train": range(8), "validation": range(8, 12)})
        data = ready(Flickr8k(str(tmp_path), split="official", cache_dir=str(tmp_path / "cache"), **SMALL))
        assert data.rows == {"train": list(range(8)), "val": [8, 9, 10, 11], "test": []}
        assert data.captions[9][2] == "validation picture number 9 2"
        with pytest.raises(DataError, match="0 test images"):
            data.test_dataloader()
        pooled = ready(Flickr8k(str(tmp_path), cache_dir=str(tmp_path / "cache"), **SMALL))
        assert sum(map(len, pooled.rows.values())) == 12

    def test_official_needs_lists(self, pictures: Path, tmp_path: Path) -> None:
        with pytest.raises(DataError, match=r"data\.split=ratios"):
            ready(Flickr8k(str(pictures), split="official", cache_dir=str(tmp_path), **SMALL))

    @pytest.mark.parametrize("layout", ["nowhere", "empty"])
    def test_wrong_folder(self, tmp_path: Path, layout: str) -> None:
        (tmp_path / "empty").mkdir()
        with pytest.raises(DataError, match=r"data=shapes"):
            ready(Flickr8k(str(tmp_path / layout), cache_dir=str(tmp_path), **SMALL))

    def test_unreachable_hub(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        def unreachable(*args: object, **options: object) -> None:
            raise ConnectionError("cannot reach it")

        monkeypatch.setattr(huggingface_hub.HfApi, "dataset_info", unreachable)
        monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)  # put back afterwards
        monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path)
        with pytest.raises(DataError, match=r"jxie/flickr8k.*data\.path=.*data=shapes"):
            load_hub("jxie/flickr8k")


class TestTable:
    def table(self, path: Path, pictures: Path, cache: Path, **options: Any) -> RetrievalDataModule:
        return ready(Table(str(path), image_root=str(pictures / "Images"), cache_dir=str(cache), **SMALL, **options))

    def test_csv_with_a_caption_per_row(self, pictures: Path, tmp_path: Path) -> None:
        data = self.table(pictures / "captions.txt", pictures, tmp_path)
        assert [len(texts) for texts in data.captions] == [2] * 12

    def test_jsonl_with_ragged_captions(self, pictures: Path, tmp_path: Path) -> None:
        rows = [{"image": f"{i}.jpg", "captions": [f"caption {i} {n}" for n in range(1 + i % 3)]} for i in range(12)]
        (tmp_path / "own.jsonl").write_text("\n".join(map(json.dumps, rows)))
        data = self.table(tmp_path / "own.jsonl", pictures, tmp_path)
        assert [len(texts) for texts in data.captions] == [1, 2, 3] * 4
        batch = next(iter(data.val_dataloader()))
        assert len(batch["caption_image_id"]) == sum(len(data.captions[row]) for row in data.rows["val"])

    def test_quoted_line_breaks_and_separators_stay(self, pictures: Path, tmp_path: Path) -> None:
        lines = ["image,caption"] + [f'{i}.jpg,"a dog, {i}\nruns\u2028fast"' for i in range(12)]
        (tmp_path / "own.csv").write_text("\n".join(lines))
        data = self.table(tmp_path / "own.csv", pictures, tmp_path)
        assert data.captions[3] == ["a dog, 3\nruns\u2028fast"]
        rows = [json.dumps({"image": f"{i}.jpg", "caption": f"a\u2028dog {i}"}, ensure_ascii=False) for i in range(12)]
        (tmp_path / "own.jsonl").write_text("\n".join(rows))
        assert self.table(tmp_path / "own.jsonl", pictures, tmp_path).captions[5] == ["a\u2028dog 5"]

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            (b'{"image": "0.jpg", "caption": "a dog"}\n{oops', "line 2 is not JSON"),
            (b'{"image": "0.jpg", "captions": []}', "empty caption: 0.jpg"),
            ('{"image": "0.jpg",\n"caption": "caf\u00e9"}'.encode("latin-1"), "line 2 is not UTF-8"),
        ],
    )
    def test_broken_json_lines(self, pictures: Path, tmp_path: Path, content: bytes, message: str) -> None:
        (tmp_path / "own.jsonl").write_bytes(content)
        with pytest.raises(DataError, match=message):
            self.table(tmp_path / "own.jsonl", pictures, tmp_path)

    def test_a_row_without_its_picture(self, pictures: Path, tmp_path: Path) -> None:
        (tmp_path / "own.jsonl").write_text('{"image": "0.jpg", "caption": "a dog"}\n{"caption": "a cat"}')
        with pytest.raises(DataError, match="row 2 lacks image"):
            self.table(tmp_path / "own.jsonl", pictures, tmp_path)

    def test_parquet_with_a_row_per_caption(self, pictures: Path, tmp_path: Path) -> None:
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

    def test_any_data_set_of_the_hub(self, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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
        with pytest.raises(DataError, match=r"columns photo, alt.*data\.image_column="):
            ready(Table(hub_name="me/photos", cache_dir=str(tmp_path), **SMALL))

    def test_several_columns_some_empty(self, pictures: Path, tmp_path: Path) -> None:
        lines = ["image,caption_0,caption_1"] + [f"{i}.jpg,one {i},{'two' if i % 2 else ''}" for i in range(12)]
        (tmp_path / "own.csv").write_text("\n".join(lines))
        data = self.table(tmp_path / "own.csv", pictures, tmp_path)
        assert [len(texts) for texts in data.captions] == [1, 2] * 6

    def test_column_mapping_and_split_column(self, pictures: Path, tmp_path: Path) -> None:
        splits = ["training"] * 8 + ["valid"] * 2 + ["test"] * 2
        lines = ["file,title,part"] + [f"{i}.jpg,thing {i},{splits[i]}" for i in range(12)]
        (tmp_path / "own.csv").write_text("\n".join(lines))
        data = self.table(
            tmp_path / "own.csv", pictures, tmp_path,
            image_column="file", caption_columns=["title"], split_column="part", split="official",
        )  # fmt: skip
        assert data.rows == {"train": list(range(8)), "val": [8, 9], "test": [10, 11]}

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            ("image,caption\n0.jpg,a dog, running", "line 2: 2 columns were announced and this line has more"),
            ("image,caption\n0.jpg", "line 2: .* fewer"),
            ("image;caption\n0.jpg;a dog", "separate columns with commas"),
            ("0.jpg,a dog\n1.jpg,a cat", "first line must name the columns"),
            ("picture,caption\n0.jpg,a dog", r"data\.image_column="),
            ("image,caption\n0.jpg,", "empty caption: 0.jpg"),
            ("image,caption\nnone.jpg,a dog", r"none\.jpg.*data\.image_root="),
            ("image,words\n0.jpg,a dog", r"columns image, words; none is a caption's.*data\.caption_columns"),
            ("file,caption\n0.jpg,a dog", "'image' is not among them"),
            ("image,caption\n0.jpg,a dog", "too few"),
            ("image,caption\n", "no images"),
        ],
    )
    def test_mistakes(self, pictures: Path, tmp_path: Path, content: str, message: str) -> None:
        (tmp_path / "own.csv").write_text(content)
        with pytest.raises(DataError, match=message):
            self.table(tmp_path / "own.csv", pictures, tmp_path)

    def test_no_file_or_two_sources(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match="no captions file"):
            ready(Table(str(tmp_path / "none.csv"), cache_dir=str(tmp_path), **SMALL))
        for arguments in ({}, {"path": "a.csv", "hub_name": "a/b"}):
            with pytest.raises(DataError, match=r"data\.path=.*data\.hub_name="):
                Table(**arguments)
        with pytest.raises(DataError, match="captions files"):
            Table(hub_name="a/b", split_column="part")
        with pytest.raises(DataError, match=r"data\.split=official"):
            Table("captions.csv", split_column="part")


class TestBrokenPictures:
    def damaged(self, folder: Path, tmp_path: Path, **options: Any) -> Flickr8k:
        (folder / "Images" / "3.jpg").write_bytes((folder / "Images" / "3.jpg").read_bytes()[:200])
        (folder / "Images" / "5.jpg").write_text("not a picture")
        (folder / "Images" / "7.jpg").write_bytes(b"")
        return Flickr8k(str(folder), cache_dir=str(tmp_path / "cache"), **SMALL, **options)

    def test_are_named(self, folder: Path, tmp_path: Path) -> None:
        with pytest.raises(DataError, match=r"3 of 12 pictures.*3\.jpg.*data\.skip_broken=true"):
            ready(self.damaged(folder, tmp_path))

    def test_can_be_left_out(self, folder: Path, tmp_path: Path) -> None:
        data = ready(self.damaged(folder, tmp_path, skip_broken=True))
        used = sorted(row for rows in data.rows.values() for row in rows)
        assert used == [0, 1, 2, 4, 6, 8, 9, 10, 11]

    def test_a_repaired_picture_is_seen(self, folder: Path, tmp_path: Path) -> None:
        data = self.damaged(folder, tmp_path)
        with pytest.raises(ImtextError):
            ready(data)
        for number in (3, 5, 7):
            shutil.copy(folder / "Images" / "0.jpg", folder / "Images" / f"{number}.jpg")
        assert len(ready(Flickr8k(str(folder), cache_dir=str(tmp_path / "cache"), **SMALL)).captions) == 12


class TestShapes:
    def test_is_the_same_every_time(self, tmp_path: Path) -> None:
        one, two = (Shapes(30, image_size=32, cache_dir=str(tmp_path / name)) for name in "ab")
        for data in (one, two):
            data.setup()
        assert one.captions == two.captions
        assert all((one.pixels[row] == two.pixels[row]).all() for row in range(len(one.pixels)))
        assert one.fingerprint == two.fingerprint != Shapes(30, scene_seed=8).load_source().fingerprint

    def test_captions_vary_and_scenes_do_not_repeat(self) -> None:
        source = Shapes(300).load_source()
        assert all(len(texts) == 5 for texts in source.captions)
        assert sum(len(set(texts)) for texts in source.captions) > 4.5 * 300
        words = {word for texts in source.captions for text in texts for word in text.split()}
        assert {"left", "above", "inside", "three", "huge", "purple", "hoop"} <= words
