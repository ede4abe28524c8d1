"""A teacher's embeddings: the file, the batches, and the checks against the data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from imtext.data import Shapes
from imtext.data.captions import CaptionedImages
from imtext.data.teacher import TENSORS, Teacher, digests, read_teacher, write_teacher
from imtext.errors import DataError

CAPTIONS = [["a cat", "the cat"], ["a dog"], ["a cow", "one cow", "cows"], ["a hen"]]
DIM = 4


def teacher_of(captions: list[list[str]], rows: list[int], fingerprint: str = "data") -> Teacher:
    """Random embeddings of rows, in the order of `rows`."""
    rng = np.random.default_rng(0)
    pairs = [(row, number) for row in rows for number in range(len(captions[row]))]
    images, texts = (rng.normal(size=(len(each), DIM)).astype(np.float16) for each in (rows, pairs))
    found = digests([captions[row][number] for row, number in pairs])
    facts = {"fingerprint": fingerprint, "model": "m", "temperature": "0.05", "imtext": "0"}
    return Teacher(images, texts, np.array(rows), np.array(pairs), found, facts, "t.safetensors")


def source(captions: list[list[str]] = CAPTIONS, fingerprint: str = "data") -> CaptionedImages:
    def load(row: int) -> None:
        raise AssertionError("no picture is needed")

    names = [f"{row}.jpg" for row in range(len(captions))]
    return CaptionedImages("captions.csv", captions, names, load, fingerprint)  # type: ignore[arg-type]


def test_what_is_written_is_read(tmp_path: Path) -> None:
    teacher, path = teacher_of(CAPTIONS, [2, 0, 3]), tmp_path / "teacher.safetensors"
    write_teacher(teacher, path)
    found = read_teacher(path)
    for name in TENSORS:
        np.testing.assert_array_equal(getattr(found, name), getattr(teacher, name))
        assert getattr(found, name).dtype == getattr(teacher, name).dtype
    assert teacher.facts.items() <= found.facts.items()
    assert [each.name for each in tmp_path.iterdir()] == ["teacher.safetensors"]
    (tmp_path / "plain").touch()
    assert path.stat().st_mode == (tmp_path / "plain").stat().st_mode  # others may read it as any other file


def test_batches_are_picked_by_row_and_number() -> None:
    teacher = teacher_of(CAPTIONS, [2, 0, 3])
    images, texts = teacher.image_batch([3, 2]), teacher.text_batch([(0, 1), (2, 2), (2, 0)])
    # Stored in the order of the rows 2, 0, 3: captions 0 to 2 belong to row 2, 3 and 4 to row 0, 5 to row 3.
    for found, expected in ((images, teacher.images[[2, 0]]), (texts, teacher.texts[[4, 2, 0]])):
        wanted = expected.astype(np.float32)
        np.testing.assert_allclose(found, wanted / np.linalg.norm(wanted, axis=1, keepdims=True), atol=1e-6)
        assert found.dtype == torch.float32


def test_the_same_data_passes() -> None:
    teacher_of(CAPTIONS, [0, 1, 2, 3]).check(source(), CAPTIONS, {"train": [3, 0], "val": [2]})


def test_other_data_is_refused() -> None:
    teacher = teacher_of(CAPTIONS, [0, 1, 2, 3])
    with pytest.raises(DataError, match=r"t\.safetensors was made from other data than captions\.csv.*imtext\.embed"):
        teacher.check(source(fingerprint="other"), CAPTIONS, {})
    other = [["x"], ["y"], ["z"]]
    with pytest.raises(DataError, match=r"other data.*imtext\.embed"):
        teacher.check(source(other), other, {})


def test_changed_captions_are_named() -> None:
    changed = [CAPTIONS[0], CAPTIONS[1], ["a cow", "two cows"], CAPTIONS[3]]
    message = r"2 of 7 captions have changed.*first caption 2 of 2\.jpg.*imtext\.embed.*output=t\.safetensors"
    for fingerprint in ("data", "other"):
        with pytest.raises(DataError, match=message):
            teacher_of(CAPTIONS, [0, 1, 2, 3]).check(source(changed, fingerprint), changed, {})


def test_missing_rows_are_named() -> None:
    with pytest.raises(DataError, match=r"lacks 2 of 3 val images, first 1\.jpg.*splits=\[train,val,test\]"):
        teacher_of(CAPTIONS, [0, 2]).check(source(), CAPTIONS, {"train": [0], "val": [2, 1, 3]})


def test_a_missing_file_comes_with_its_command(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"data\.teacher=.*none: there is no such file.*python -m imtext\.embed"):
        read_teacher(tmp_path / "none")


@pytest.mark.parametrize(
    "write", [lambda path: path.write_text("no tensors"), lambda path: save_file({"w": np.zeros(2)}, path)]
)
def test_another_file_is_refused(tmp_path: Path, write: Callable[[Path], None]) -> None:
    write(tmp_path / "model.safetensors")
    with pytest.raises(DataError, match=r"model\.safetensors was not written by `python -m imtext\.embed`"):
        read_teacher(tmp_path / "model.safetensors")


def test_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"Cannot write .*output="):
        write_teacher(teacher_of(CAPTIONS, [0]), tmp_path / "nowhere" / "t.safetensors")


class TestDataModule:
    @pytest.fixture
    def file(self, tmp_path: Path) -> Path:
        """A teacher of all 40 drawings."""
        data = Shapes(40, image_size=32, cache_dir=str(tmp_path))
        data.setup()
        captions = [list(texts) for texts in data.captions]
        write_teacher(teacher_of(captions, list(range(40)), data.fingerprint), tmp_path / "t.safetensors")
        return tmp_path / "t.safetensors"

    def data(self, file: Path, **options: int) -> Shapes:
        return Shapes(40, image_size=32, batch_size=8, cache_dir=str(file.parent), teacher=str(file), **options)

    def test_batches_hold_the_rows_of_their_images_and_captions(self, file: Path) -> None:
        data, teacher = self.data(file, captions_per_image=2), read_teacher(file)
        data.setup()
        for loader in (data.train_dataloader(), data.val_dataloader()):
            batch = next(iter(loader))
            assert batch["teacher_image"].equal(teacher.image_batch(batch["image_id"].tolist()))
            similarity = (
                batch["teacher_text"] @ teacher.text_batch([(row, at) for row in range(40) for at in range(5)]).T
            )
            rows, numbers = similarity.argmax(1) // 5, similarity.argmax(1) % 5
            assert rows.equal(batch["caption_image_id"])
            chosen = [data.captions[row][number] for row, number in zip(rows.tolist(), numbers.tolist(), strict=True)]
            assert torch.from_numpy(data.tokenizer(chosen).input_ids).equal(batch["input_ids"])
        assert "teacher_image" not in next(iter(data.test_dataloader()))  # nothing is learnt there

    def test_without_a_teacher_batches_are_as_before(self, file: Path) -> None:
        plain = Shapes(40, image_size=32, batch_size=8, cache_dir=str(file.parent))
        data = self.data(file)
        for each in (plain, data):
            each.setup()
        before, after = next(iter(plain.train_dataloader())), next(iter(data.train_dataloader()))
        assert after.keys() - before.keys() == {"teacher_image", "teacher_text"}
        assert before["image"].equal(after["image"])
        assert before["input_ids"].equal(after["input_ids"])

    def test_the_file_is_checked(self, file: Path) -> None:
        teacher = read_teacher(file)
        write_teacher(replace(teacher, facts={**teacher.facts, "fingerprint": "other"}), file)
        with pytest.raises(DataError, match=r"other data than shapes"):
            self.data(file).setup()
        file.unlink()
        with pytest.raises(DataError, match="no such file"):
            self.data(file).setup()
