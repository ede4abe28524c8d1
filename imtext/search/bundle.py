"""The bundle: a folder with everything needed to embed pictures and texts.

ONNX graphs, a tokenizer and a manifest; no pickle. The manifest lists every file with its hash, so that a bundle is
refused if it is incomplete, altered or written by a newer imtext.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from imtext.errors import BundleError, ConfigError
from imtext.preprocess import Preprocess
from imtext.preprocess.tokenizer import Tokenizer, Vocabulary
from imtext.search.calibration import Calibration
from imtext.search.manifest import (
    EXPORT_AGAIN,
    MANIFEST,
    TOKENIZER,
    make_manifest,
    read_manifest,
    seal,
    sha256,
    upgrade,
)

IMAGE, TEXT = "image", "text"  # graphs that every bundle has
MAX_CANDIDATES = 1_000  # that a search scores again
RERANKER = "reranker"  # a graph that some bundles have, and its entry in the manifest


@dataclass(frozen=True)
class RerankerFacts:
    """The re-ranker of a bundle.

    Attributes:
        top_k: number of candidates of the dual encoder that it scores again, unless a search names another number.
        grid: number of places in a picture, and numbers for each place.
        calibration: converts its scores to a relevance; None if there was too little data to fit it.
    """

    top_k: int
    grid: tuple[int, int]
    calibration: Calibration | None

    @property
    def grid_bytes(self) -> int:
        """Size of the stored grid of a picture: float16."""
        return 2 * self.grid[0] * self.grid[1]


@dataclass(frozen=True)
class Bundle:
    """A checked bundle on disk.

    Attributes:
        path: its folder.
        embed_dim: size of the joint space.
        preprocess: preprocessing of pictures for the image graph.
        vocabulary: facts about the tokenizer of the text graph: kind, size, special ids and maximum length.
        graphs: name → file; ``image`` and ``text``, and any others.
        calibration: converts a score to a relevance; None if there was too little data to fit it.
        fingerprint: identifies the embedding space; a hash of graphs, tokenizer and preprocessing.
        manifest: the whole manifest.
        reranker: facts about its re-ranker; None: it has none.
    """

    path: Path
    embed_dim: int
    preprocess: Preprocess
    vocabulary: Vocabulary
    graphs: Mapping[str, str]
    calibration: Calibration | None
    fingerprint: str
    manifest: Mapping[str, Any]
    reranker: RerankerFacts | None = None

    @property
    def megabytes(self) -> float:
        """Size of all files but the manifest, in millions of bytes."""
        return float(sum(file["bytes"] for file in self.manifest["files"].values()) / 1e6)

    def read(self, name: str) -> bytes:
        """The content of one file.

        Raises:
            BundleError: the file is missing, or has changed since the bundle was opened.
        """
        return _read(self.path, name, self.manifest["files"][name]["sha256"])


def write_bundle(folder: Path, graphs: Mapping[str, bytes], tokenizer: Tokenizer, facts: Mapping[str, Any]) -> Bundle:
    """Write a bundle. Other processes see the old bundle, the new one or none, never a part of one.

    Args:
        folder: replaced if it holds a bundle and nothing else.
        graphs: name → ONNX model; at least ``image`` and ``text``.
        tokenizer: tokenizer of the text graph.
        facts: the rest of the manifest; at least `embed_dim`, `preprocess` and `calibration`.

    Raises:
        BundleError: the folder holds other files.
    """
    files = {f"{name}.onnx": content for name, content in graphs.items()}
    files[TOKENIZER] = tokenizer.to_json().encode()
    described = {
        **facts,
        "graphs": {name: f"{name}.onnx" for name in graphs},
        "tokenizer": tokenizer.vocabulary.to_dict(),
    }
    return _write(folder, files, make_manifest(described, files))


def copy_bundle(bundle: Bundle, folder: Path) -> Bundle:
    """Copy a bundle, byte for byte.

    Raises:
        BundleError: the folder holds other files, or the bundle changed since it was opened.
    """
    manifest = read_manifest(bundle.path)
    if manifest["sha256"] != bundle.manifest["sha256"]:
        raise BundleError(f"{bundle.path} was replaced by another bundle while it was copied. Try again")
    return _write(folder, {name: bundle.read(name) for name in manifest["files"]}, manifest)


def calibrate_bundle(bundle: Bundle, calibration: Calibration, reranked: Calibration | None = None) -> Bundle:
    """Replace the calibration of a bundle on disk; the embedding space, and so its fingerprint, stays.

    Args:
        bundle: the bundle.
        calibration: of the scores of the dual encoder.
        reranked: of the scores of the re-ranker, if the bundle has one.

    Raises:
        BundleError: the bundle changed since it was opened.
    """
    manifest = read_manifest(bundle.path)
    if manifest["sha256"] != bundle.manifest["sha256"]:
        raise BundleError(f"{bundle.path} was replaced by another bundle while it was calibrated. Try again")
    changes: dict[str, Any] = {"calibration": calibration.to_dict()}
    if bundle.reranker is not None:
        changes[RERANKER] = {**manifest[RERANKER], "calibration": reranked.to_dict() if reranked else None}
    changed = seal({**manifest, **changes})
    unfinished = bundle.path.with_name(f".{bundle.path.name}.unfinished.{os.getpid()}")
    try:
        unfinished.write_text(json.dumps(changed, indent=2) + "\n")
        unfinished.replace(bundle.path / MANIFEST)
    finally:
        unfinished.unlink(missing_ok=True)
    return load_bundle(bundle.path)


def load_bundle(path: str | Path) -> Bundle:
    """Open a bundle and check all of its files.

    Args:
        path: folder of the bundle, or of a run that has it in `bundle/`.

    Raises:
        BundleError: the bundle is missing, altered, or has a newer schema; the message names the file and the fix.
    """
    folder = Path(path).expanduser().absolute()
    if not (folder / MANIFEST).is_file() and (folder / "bundle" / MANIFEST).is_file():
        folder /= "bundle"
    manifest = read_manifest(folder)
    try:
        hashes = {name: manifest["files"][name]["sha256"] for name in (TOKENIZER, *manifest["files"])}
        for name in hashes:
            if Path(name).name != name:
                raise BundleError(f"{folder / MANIFEST} is not trusted: {name!r} is not a plain file name")
        manifest = upgrade(manifest, _read(folder, TOKENIZER, hashes[TOKENIZER]))
        bundle = _parse(folder, manifest)
        hashes |= {name: hashes[name] for name in (bundle.graphs[IMAGE], bundle.graphs[TEXT], *bundle.graphs.values())}
    except (ConfigError, KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise BundleError(f"{folder / MANIFEST} was not written by imtext ({error!r}). {EXPORT_AGAIN}") from error
    for name, expected in hashes.items():
        if has_external_data(_read(folder, name, expected)):
            raise BundleError(f"{folder / name} is not trusted: it reads data from other files, which no export does")
    return bundle


def is_replaceable(folder: Path) -> bool:
    """Whether a folder is empty, or holds a bundle and nothing else."""
    try:
        names = {path.name for path in folder.iterdir()} - {".DS_Store"}
        if not names:
            return True
        manifest = json.loads((folder / MANIFEST).read_bytes())
        return "schema" in manifest and names <= {MANIFEST, *manifest["files"]}
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _parse(folder: Path, manifest: Mapping[str, Any]) -> Bundle:
    calibration, reranker = manifest.get("calibration"), manifest.get(RERANKER)
    return Bundle(
        folder,
        int(manifest["embed_dim"]),
        Preprocess.from_dict(manifest["preprocess"]),
        Vocabulary(**manifest["tokenizer"]),
        dict(manifest["graphs"]),
        Calibration(**calibration) if calibration else None,
        manifest["fingerprint"],
        manifest,
        _parse_reranker(reranker, manifest["graphs"]) if reranker else None,
    )


def _parse_reranker(facts: Mapping[str, Any], graphs: Mapping[str, str]) -> RerankerFacts:
    if RERANKER not in graphs:
        raise ValueError("it describes a re-ranker and has no graph of it")
    places, dim = facts["grid"]
    calibration, top_k = facts["calibration"], int(facts["top_k"])
    if not 1 <= top_k <= MAX_CANDIDATES:
        raise ValueError(f"its re-ranker scores {top_k} candidates, not 1 to {MAX_CANDIDATES:,}")
    return RerankerFacts(top_k, (places, dim), Calibration(**calibration) if calibration else None)


def _write(folder: Path, files: Mapping[str, bytes], manifest: Mapping[str, Any]) -> Bundle:
    if folder.exists() and not is_replaceable(folder):
        raise BundleError(f"{folder} contains files that do not belong to a bundle; choose an empty or a new folder")
    folder.parent.mkdir(parents=True, exist_ok=True)
    unfinished, old = (folder.with_name(f".{folder.name}.{state}.{os.getpid()}") for state in ("unfinished", "old"))
    unfinished.mkdir()
    try:
        for name, content in files.items():
            (unfinished / name).write_bytes(content)
        (unfinished / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n")
        if folder.exists():
            folder.rename(old)
        unfinished.rename(folder)
    finally:
        for leftover in (unfinished, old):
            shutil.rmtree(leftover, ignore_errors=True)
    return load_bundle(folder)


def _read(folder: Path, name: str, expected: str) -> bytes:
    try:
        content = (folder / name).read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a name that no file can have
        reason = error.strerror if isinstance(error, OSError) else error
        raise BundleError(f"{folder / name} cannot be read ({reason}). {EXPORT_AGAIN}") from error
    if sha256(content) != expected:
        raise BundleError(f"{folder / name} is not the file that was exported: its hash differs. {EXPORT_AGAIN}")
    return content


def has_external_data(graph: bytes) -> bool:
    """Whether a graph reads weights from other files.

    ONNX Runtime would look for them in the working directory and would not check them. Protocol buffers store the
    length of a text before the text. The last byte of the length is 8 for the key ``location`` of such weights, or 0 if
    the length was padded with zeros.
    """
    # Nearly all graphs do not contain the word at all, which one pass detects.
    return b"location" in graph and (b"\x08location" in graph or b"\0location" in graph)
