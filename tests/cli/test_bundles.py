from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from imtext.search import Bundle
from tests.cli.conftest import imtext
from tests.conftest import changed_bundle


def test_info(index: Path, bundle: Bundle) -> None:
    assert bundle.fingerprint in imtext("info", bundle.path).stdout
    printed = imtext("info", index)
    assert "parameters   image 0.9 M, text 0.0 M" in printed.stdout
    assert printed.returncode == 0, printed.stderr
    assert "pictures     12" in printed.stdout
    assert f"sources      {index.parent}" in printed.stdout
    assert "R@10" not in printed.stdout, "the manifest has one direction only"


def test_info_with_metrics(bundle: Bundle, tmp_path: Path) -> None:
    metrics = {"val/t2i_r@10": 0.5, "val/i2t_r@10": 0.25, "val/num_images": 30}
    changed_bundle(bundle, tmp_path / "measured", metrics=metrics)
    printed = imtext("info", tmp_path / "measured").stdout
    assert "val          R@10 text→image 50.0 %, image→text 25.0 % of 30 images" in printed
    assert "note         tiny" in printed


def test_check(index: Path, bundle: Bundle, tmp_path: Path) -> None:
    done = imtext("check", bundle.path, index, "optim.lr=1e-3")
    assert done.stdout.count("ok: ") == 3
    changed_bundle(bundle, tmp_path / "wrong", embed_dim=33)
    done = imtext("check", tmp_path / "wrong")
    assert (done.returncode, "the manifest says 33" in done.stderr) == (2, True)


def test_without_a_path_the_default_index_is_used(index: Path, tmp_path: Path) -> None:
    assert "pictures     12" in imtext("info", IMTEXT_INDEX=str(index)).stdout
    assert imtext("check", IMTEXT_INDEX=str(index)).stdout == f"ok: index {index}, 12 pictures\n"
    assert imtext("check", "-i", index, IMTEXT_INDEX=str(tmp_path)).stdout == f"ok: index {index}, 12 pictures\n"
    assert imtext("check", "optim.lr=1e-3", "-i", index).stdout.count("ok: ") == 2
    assert "pictures     12" in imtext("info", "-i", index, IMTEXT_INDEX=str(tmp_path)).stdout
    assert imtext("check", IMTEXT_INDEX=str(tmp_path)).stdout == "ok: default settings\n"
    done = imtext("rank", "red", index.parent / "00.png", IMTEXT_INDEX=str(index), IMTEXT_ROOT=str(tmp_path))
    assert (done.returncode, done.stderr) == (0, f"Model: {index / 'bundle'}\n")


@pytest.mark.parametrize("part", [slice(4096, 4096 + 32 * 4), slice(-32 * 4, None)])
def test_check_finds_a_damaged_matrix(index: Path, tmp_path: Path, part: slice) -> None:
    copy = shutil.copytree(index, tmp_path / "index")
    content = bytearray((copy / "vectors.cache").read_bytes())
    content[part] = bytes(32 * 4)  # a vector, or the mean
    (copy / "vectors.cache").write_bytes(content)
    done = imtext("check", copy)
    assert done.returncode == 2
    assert "vectors.cache does not agree with the rows. Delete it" in done.stderr
    (copy / "vectors.cache").unlink()
    assert imtext("check", copy).returncode == 0


@pytest.mark.parametrize(
    ("flags", "settings"),
    [
        ((), ("float32", False, None)),
        (("--int8", "--dim", "128"), ("int8", False, 128)),
        (("--fp16", "--force"), ("float16", True, None)),
    ],
)
def test_export_passes_settings_on(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    bundle: Bundle,
    flags: tuple[str, ...],
    settings: tuple[object, ...],
) -> None:
    called: list[object] = []

    def export_run(*given: object) -> Bundle:
        called.append(given)
        return bundle

    monkeypatch.setattr("imtext.export.export_run", export_run)
    done = imtext("export", "last", "data.path=here", "-o", tmp_path, *flags)
    assert done.stdout == f"Bundle: {bundle.path}\n"
    assert called == [("last", tmp_path, ["data.path=here"], *settings)]


def test_export_in_one_precision() -> None:
    done = imtext("export", "last", "--int8", "--fp16")
    assert done.returncode == 2
    assert "Choose one of --int8 and --fp16" in done.stderr
