"""The Python API."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import imtext
from imtext.errors import BundleError, SearchError
from imtext.search import Bundle, Predictor, parse_filters


@pytest.fixture
def predictor(bundle: Bundle) -> Predictor:
    return imtext.create_predictor(bundle.path)


def test_newest_bundle_is_the_default(bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMTEXT_ROOT", str(tmp_path))
    with pytest.raises(BundleError, match="There is no bundle below"):
        imtext.create_predictor()
    (tmp_path / "runs").symlink_to(bundle.path.parent)
    assert imtext.create_predictor().encoder.bundle.fingerprint == bundle.fingerprint


def test_rank_images(predictor: Predictor, gallery: Path) -> None:
    paths = sorted(gallery.glob("*.png"))
    ranked = predictor.rank_images("a red circle", paths, top_k=3)
    assert len(ranked) == 3
    assert ranked[0].score >= ranked[1].score >= ranked[2].score
    everything = predictor.rank_images("a red circle", paths)
    assert sorted(item.path for item in everything) == [str(path) for path in paths]
    by_hand = float(predictor.encode_text("a red circle") @ predictor.encode_image(ranked[0].path))
    assert ranked[0].score == pytest.approx(by_hand, abs=1e-5)
    assert ranked[0].relevance is not None
    assert predictor.rank_images(str(paths[4]), paths)[0].path == str(paths[4])
    assert predictor.rank_images("red", []) == []
    copy = shutil.copy(paths[4], gallery / "photo - Copy.png")
    assert predictor.rank_images(str(copy), paths)[0].path == str(paths[4]), "one picture, not query arithmetic"


def test_rank_texts(predictor: Predictor, gallery: Path) -> None:
    texts = ["a red circle", "two stars", "a ring"]
    ranked = predictor.rank_texts(gallery / "00.png", texts)
    assert sorted(item.text for item in ranked) == sorted(texts)
    assert [texts[item.position] for item in ranked] == [item.text for item in ranked]
    assert len(predictor.rank_texts(gallery / "00.png", texts, top_k=1)) == 1


def test_database(predictor: Predictor, gallery: Path) -> None:
    with pytest.raises(SearchError, match="build_image_database"):
        predictor.search_database("red")
    (gallery / "bad.png").write_text("no picture")
    refused = predictor.build_image_database([*sorted(gallery.rglob("*.png")), gallery / "missing.png"])
    assert set(refused) == {str(gallery / "bad.png"), str(gallery / "missing.png")}
    assert refused[str(gallery / "missing.png")] == "No such file or directory"
    results = predictor.search_database("red", top_k=5)
    assert len(results) == 5
    batch = predictor.search_database_batch(["red", "blue"], top_k=5)
    assert [item.path for item in batch[0]] == [item.path for item in results]
    assert {item.relevance for item in predictor.search_database("xyzzy")} == {0.0}, "no word of it is known"
    assert predictor.search_database("xyzzy", min_relevance=1e-9) == []
    assert predictor.search_similar(gallery / "03.png")[0].path == str(gallery / "03.png")


def test_database_with_filters(predictor: Predictor, gallery: Path) -> None:
    predictor.build_image_database(gallery)
    more = parse_filters(folder="More")
    found = predictor.search_database("red", filters=more)
    assert {Path(result.path).parent for result in found} == {gallery / "more"}
    assert predictor.search_database("red", filters=more, sort="date")[0].date == max(result.date for result in found)
    assert {result.path for result in predictor.search_database("", filters=more)} == {result.path for result in found}


def test_database_in_a_folder(bundle: Bundle, gallery: Path, tmp_path: Path) -> None:
    imtext.create_predictor(bundle.path, tmp_path / "index").build_image_database(gallery)
    again = imtext.create_predictor(bundle.path, tmp_path / "index")
    assert len(again.search_database("red", top_k=50)) == 12
    again.build_image_database(gallery, exclude=["/more/"])
    again.build_image_database(gallery)
    assert len(again.search_database("red", top_k=50)) == 9, "what is excluded stays excluded"


def test_unknown_words_have_no_good_match(predictor: Predictor, gallery: Path) -> None:
    paths = sorted(gallery.glob("*.png"))
    assert {result.relevance for result in predictor.rank_images("xyzzy", paths)} == {0.0}
    ranked = {result.text: result.relevance for result in predictor.rank_texts(paths[0], ["xyzzy", "a red circle"])}
    assert ranked["xyzzy"] == 0
    assert ranked["a red circle"] != 0


def test_query_notes(predictor: Predictor) -> None:
    assert predictor.query_notes("a red circle - blue") == []
    assert predictor.query_notes("a red xyzzy") == ["Words not in the model's vocabulary: xyzzy"]


def test_any_kind_of_picture(predictor: Predictor, gallery: Path) -> None:
    path = gallery / "00.png"
    embeddings = [predictor.encode_image(item) for item in (path, str(path), path.read_bytes(), Image.open(path))]
    for other in embeddings[1:]:
        np.testing.assert_allclose(other, embeddings[0], atol=1e-6)
    with pytest.raises(SearchError, match=r"gone\.png cannot be read"):
        predictor.encode_image(gallery / "gone.png")


def test_threads(predictor: Predictor, gallery: Path) -> None:
    predictor.build_image_database(gallery)
    alone = predictor.search_database("a red circle", top_k=5)
    with ThreadPoolExecutor(8) as pool:
        for results in pool.map(lambda _: predictor.search_database("a red circle", top_k=5), range(64)):
            assert results == alone


def test_open_pictures_are_rotated_like_files(predictor: Predictor, gallery: Path, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = tmp_path / "turned.png"
    Image.open(gallery / "00.png").save(turned, exif=exif)
    np.testing.assert_allclose(predictor.encode_image(Image.open(turned)), predictor.encode_image(turned), atol=1e-6)
    assert not np.allclose(predictor.encode_image(turned), predictor.encode_image(gallery / "00.png"), atol=1e-6)
