from __future__ import annotations

import io
import json
import tarfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from random import Random
from typing import Any

import pytest

from imtext.data.streaming.samples import MOST_CAPTIONS, PER_SHARD, Broken, Decoded, Problem, Sample, decode, read_shard
from imtext.preprocess import Preprocess
from tests.shards import http_server, jpeg, write_shard, write_shards


def read_one(folder: Path, files: Mapping[str, bytes], keys: list[str] | None = None) -> Sample | Problem:
    (found,) = read_shard(str(write_shard(folder / "a.tar", [files])), 0, keys)
    return found


def captions_of(folder: Path, files: Mapping[str, bytes], keys: list[str] | None = None) -> list[str]:
    found = read_one(folder, {"jpg": jpeg(), **files}, keys)
    assert isinstance(found, Sample), found
    return found.captions


def as_json(**values: Any) -> dict[str, bytes]:
    return {"json": json.dumps(values).encode()}


def test_samples_in_order(tmp_path: Path) -> None:
    folder = write_shards(tmp_path, 3)
    samples = list(read_shard(str(folder / "00000.tar"), 5))
    assert samples[1] == Sample(5 * PER_SHARD + 1, f"{folder}/00000.tar/000000001", jpeg(1), ["a green thing number 1"])
    assert len(samples) == 3


def test_captions(tmp_path: Path) -> None:
    assert captions_of(tmp_path, {"txt": " Größe \n".encode()}) == ["Größe"]
    assert captions_of(tmp_path, as_json(caption="a dog", url="x")) == ["a dog"]
    assert captions_of(tmp_path, as_json(caption=["a dog", " ", "a spaniel"])) == ["a dog", "a spaniel"]
    assert captions_of(tmp_path, as_json(caption="a dog") | {"txt": b"something else"}) == ["a dog"]
    assert captions_of(tmp_path, as_json(caption=None, url="x") | {"txt": b"the text"}) == ["the text"]
    assert captions_of(tmp_path, as_json(url="x") | {"txt": b"the text"}) == ["the text"]
    assert captions_of(tmp_path, as_json(alt="an alt text", caption="a dog"), ["alt"]) == ["an alt text"]
    assert len(captions_of(tmp_path, as_json(captions=[f"caption {number}" for number in range(40)]))) == MOST_CAPTIONS


def test_other_files_and_endings(tmp_path: Path) -> None:
    found = read_one(tmp_path, {"cls": b"3", "seg.PNG": b"png", "txt": b"a dog"})
    assert isinstance(found, Sample)
    assert found.picture == b"png"


@pytest.mark.parametrize(
    ("files", "kind", "reason"),
    [
        ({"txt": b"a"}, "samples without a picture", "it has txt"),
        ({"jpg": b"", "cls": b"3"}, "samples without a caption", "it has cls, jpg"),
        ({"jpg": b"", "txt": b" \n"}, "samples without a caption", "it has jpg, txt"),
        ({"jpg": b"", "txt": b"\xff\xfe\xfd"}, "samples without a caption", "decode"),
        ({"jpg": b"", "json": b"{"}, "samples without a caption", "Expecting"),
        ({"jpg": b"", "json": b"[1]"}, "samples without a caption", "it has jpg, json"),
    ],
)
def test_broken_samples(tmp_path: Path, files: dict[str, bytes], kind: str, reason: str) -> None:
    found = read_one(tmp_path, files)
    assert isinstance(found, Problem)
    assert found.kind == kind
    assert reason in found.reason
    assert found.name.endswith("a.tar/000000000")


def test_caption_keys_do_without_the_text(tmp_path: Path) -> None:
    found = read_one(tmp_path, {"jpg": b"", "txt": b"a dog"}, ["alt"])
    assert isinstance(found, Problem)


def test_a_shard_that_ends_too_early(tmp_path: Path) -> None:
    path = write_shards(tmp_path, 4) / "00000.tar"
    with tarfile.open(path) as file:
        third = file.getmember("000000002.jpg")
    path.write_bytes(path.read_bytes()[: third.offset_data + 100])
    *samples, problem = read_shard(str(path), 0)
    assert len(samples) == 1, "of the second it is not known whether it was complete"
    assert isinstance(problem, Problem)
    assert problem.kind == "broken shards"
    assert "unexpected end of data" in problem.reason
    assert "<" not in problem.reason


def test_what_is_no_shard(tmp_path: Path) -> None:
    (tmp_path / "page.tar").write_bytes(b"<html>not found</html>" * 100)
    (tmp_path / "empty.tar").write_bytes(b"")
    for name in ("page.tar", "empty.tar", "missing.tar"):
        (problem,) = read_shard(str(tmp_path / name), 0)
        assert isinstance(problem, Problem)
        assert problem.kind == "broken shards"


def test_a_missing_address(tmp_path: Path) -> None:
    with http_server(tmp_path) as address:
        (problem,) = read_shard(f"{address}/00000.tar", 0)
    assert isinstance(problem, Problem)
    assert problem.reason == "after 0 samples: there is no such file (404)"


def test_compressed_shards(tmp_path: Path) -> None:
    samples = list(read_shard(str(write_shard(tmp_path / "a.tar.gz", [{"jpg": jpeg(), "txt": b"a dog"}] * 3)), 0))
    assert [sample.captions for sample in samples if isinstance(sample, Sample)] == [["a dog"]] * 3


def test_a_name_that_comes_twice(tmp_path: Path) -> None:
    path = write_shard(tmp_path / "a.tar", [{"jpg": jpeg(), "JPG": jpeg(1), "txt": b"a dog"}])
    (sample,) = read_shard(str(path), 0)
    assert isinstance(sample, Sample)
    assert sample.picture == jpeg()


def bomb() -> bytes:
    """A PNG of 15,000 × 15,000 pixels by its header."""
    from PIL import Image

    content = io.BytesIO()
    Image.new("L", (1, 1)).save(content, "PNG")
    header = b"IHDR" + (15_000).to_bytes(4, "big") * 2 + content.getvalue()[24:29]
    return content.getvalue()[:12] + header + zlib.crc32(header).to_bytes(4, "big") + content.getvalue()[33:]


def test_decoding() -> None:
    decoded = decode(Sample(7, "a", jpeg(3), ["x"]), Preprocess(image_size=32))
    assert isinstance(decoded, Decoded)
    assert decoded.pixels.shape == (32, 32, 3)
    assert decoded.pixels.flags.writeable
    for content, reason in ((b"", ""), (jpeg()[:300], ""), (b"<html>", ""), (bomb(), "15000×15000 pixels")):
        problem = decode(Sample(7, "a", content, ["x"]), Preprocess(image_size=32))
        assert isinstance(problem, Problem)
        assert problem.kind == "broken pictures"
        assert reason in problem.reason


def test_counts_are_bounded() -> None:
    broken, other = Broken(), Broken()
    for number in range(1000):
        broken.add(Problem("broken pictures", f"a/{number}", "no"))
    other.add(Problem("broken shards", "b", "short"))
    broken.merge(other)
    assert str(broken) == "1,000 broken pictures, 1 broken shards: a/0 (no); a/1 (no); a/2 (no) …"
    taken = broken.take()
    assert taken
    assert not broken
    assert not Broken()


@pytest.mark.parametrize("ending", ["tar", "tar.gz"])
def test_a_shard_from_a_place_inside_of_it(tmp_path: Path, ending: str) -> None:
    shard = write_shard(tmp_path / f"a.{ending}", [{"jpg": jpeg(number), "txt": b"a"} for number in range(40)])
    whole = list(read_shard(str(shard), 3))
    for start in (0.0, 0.3, 0.7):
        turned = list(read_shard(str(shard), 3, None, start))
        first = whole.index(turned[0])
        assert turned == whole[first:] + whole[:first], "what comes before is read last"
        assert (first > 0) == (start > 0)


def test_a_broken_shard_from_a_place_behind_its_end(tmp_path: Path) -> None:
    texts = [Random(number).randbytes(2_000).hex().encode() for number in range(60)]
    shard = write_shard(tmp_path / "a.tar.gz", [{"jpg": jpeg(), "txt": text} for text in texts])
    content = shard.read_bytes()
    shard.write_bytes(content[: len(content) // 2] + bytes(len(content) // 2))
    whole = list(read_shard(str(shard), 0))
    assert 20 < len(whole) < 40
    assert list(read_shard(str(shard), 0, None, 0.9)) == whole


def test_json_that_is_nested_too_deeply_costs_one_sample(tmp_path: Path) -> None:
    deep = b"[" * 100_000
    shard = write_shard(tmp_path / "a.tar", [{"jpg": jpeg(), "json": deep}, {"jpg": jpeg(), "txt": b"a"}])
    problem, sample = read_shard(str(shard), 0)
    assert isinstance(problem, Problem)
    assert problem.kind == "samples without a caption"
    assert isinstance(sample, Sample)
