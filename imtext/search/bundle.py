"""The bundle: the folder that a training leaves behind, with all that is needed to embed pictures and texts.

Two ONNX graphs, a vocabulary and a manifest; no pickle. The manifest names every file with its hash, so that a bundle
that was cut short, altered or made by a newer imtext is refused instead of answering wrongly.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from imtext.errors import BundleError, ConfigError
from imtext.preprocess import Preprocess
from imtext.search.calibration import Calibration

SCHEMA = 1
MANIFEST = "manifest.json"
IMAGE_GRAPH, TEXT_GRAPH, TOKENIZER = GRAPHS_AND_WORDS = ("image.onnx", "text.onnx", "tokenizer.json")


@dataclass(frozen=True)
class Bundle:
    """A checked bundle on disk.

    Attributes:
        path: its folder.
        embed_dim: size of the joint space.
        preprocess: how a picture becomes the image graph's input.
        calibration: how a score becomes a relevance; None when there was nothing to learn it from.
        fingerprint: names the embedding space: of graphs, vocabulary and preprocessing.
        manifest: everything else that was written down.
    """

    path: Path
    embed_dim: int
    preprocess: Preprocess
    calibration: Calibration | None
    fingerprint: str
    manifest: Mapping[str, Any]

    def read(self, name: str) -> bytes:
        """One file's content.

        Raises:
            BundleError: it is missing, or not what the manifest says, perhaps since another bundle took its place.
        """
        return _read(self.path, name, self.manifest["files"][name]["sha256"])


def write_bundle(folder: Path, files: Mapping[str, bytes], facts: Mapping[str, Any]) -> Bundle:
    """Write a bundle in one stroke: whoever looks sees the old one, the new one or none.

    Args:
        folder: is replaced if it holds a bundle already, and nothing else.
        files: name → content, of the two graphs and the vocabulary.
        facts: the rest of the manifest; at least `embed_dim`, `preprocess` and `calibration`.

    Raises:
        BundleError: the folder holds something else.
    """
    if folder.exists() and not is_replaceable(folder):
        raise BundleError(f"{folder} holds other files than a bundle; choose an empty or a new folder")
    hashes = {name: {"sha256": _sha256(content), "bytes": len(content)} for name, content in files.items()}
    manifest = {"schema": SCHEMA, **facts, "fingerprint": _fingerprint(hashes, facts["preprocess"]), "files": hashes}
    manifest["sha256"] = _seal(manifest)
    folder.parent.mkdir(parents=True, exist_ok=True)
    unfinished, old = (folder.with_name(f".{folder.name}.{word}.{os.getpid()}") for word in ("unfinished", "old"))
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


def load_bundle(path: str | Path) -> Bundle:
    """Open a bundle and check every file of it.

    Args:
        path: the folder, or that of a training run, which has it in `bundle/`.

    Raises:
        BundleError: missing, altered, or of another schema; says which file and what to do.
    """
    folder = Path(path).expanduser().absolute()
    if not (folder / MANIFEST).is_file() and (folder / "bundle" / MANIFEST).is_file():
        folder /= "bundle"
    manifest = _read_manifest(folder)
    try:
        calibration = manifest.get("calibration")
        bundle = Bundle(
            folder,
            int(manifest["embed_dim"]),
            Preprocess.from_dict(manifest["preprocess"]),
            Calibration(**calibration) if calibration else None,
            manifest["fingerprint"],
            manifest,
        )
        hashes = {name: manifest["files"][name]["sha256"] for name in (*GRAPHS_AND_WORDS, *manifest["files"])}
    except (ConfigError, KeyError, TypeError, ValueError) as error:
        raise BundleError(f"{folder / MANIFEST} is not as imtext writes it ({error!r}). {_AGAIN}") from error
    for name, sha256 in hashes.items():
        if Path(name).name != name:
            raise BundleError(f"{folder / MANIFEST} lists {name!r}, which is not a plain file name: not to be trusted")
        if _names_other_files(_read(folder, name, sha256)):
            raise BundleError(f"{folder / name} takes data from other files, which no export does: not to be trusted")
    return bundle


def is_replaceable(folder: Path) -> bool:
    """Is a folder empty, or does it hold a bundle and nothing that would be lost with it?"""
    try:
        inside = {path.name for path in folder.iterdir()} - {".DS_Store"}
        if not inside:
            return True
        manifest = json.loads((folder / MANIFEST).read_bytes())
        return "schema" in manifest and inside <= {MANIFEST, *manifest["files"]}
    except (OSError, ValueError, KeyError, TypeError):
        return False


def copy_bundle(bundle: Bundle, folder: Path) -> Bundle:
    """A copy of its own for whoever must not lose it."""
    names = bundle.manifest["files"]
    facts = {key: value for key, value in bundle.manifest.items() if key not in ("schema", "fingerprint", "files")}
    return write_bundle(folder, {name: bundle.read(name) for name in names}, facts)


_AGAIN = "Export it again: imtext export <run>"


def _read(folder: Path, name: str, sha256: str) -> bytes:
    try:
        content = (folder / name).read_bytes()
    except OSError as error:
        raise BundleError(f"{folder / name} cannot be read ({error.strerror}). {_AGAIN}") from error
    if _sha256(content) != sha256:
        raise BundleError(f"{folder / name} is not the file that was exported: its hash differs. {_AGAIN}")
    return content


def _read_manifest(folder: Path) -> dict[str, Any]:
    try:
        manifest = json.loads((folder / MANIFEST).read_text())
    except FileNotFoundError:
        raise BundleError(f"{folder} is not a bundle: it has no {MANIFEST}. {_AGAIN}") from None
    except (OSError, ValueError) as error:
        raise BundleError(f"{folder / MANIFEST} cannot be read ({error}). {_AGAIN}") from error
    schema = manifest.get("schema") if isinstance(manifest, dict) else None
    if schema != SCHEMA:
        raise BundleError(
            f"{folder} is a bundle of schema {schema}, and this imtext reads {SCHEMA}: update imtext. {_AGAIN}"
        )
    if manifest.get("sha256") != _seal(manifest):
        raise BundleError(
            f"{folder / MANIFEST} has been altered, or written by an older imtext: its hash differs. {_AGAIN}"
        )
    return dict(manifest)


def _seal(manifest: Mapping[str, Any]) -> str:
    """The hash of all that a manifest says but this."""
    said = {name: value for name, value in manifest.items() if name != "sha256"}
    return _sha256(json.dumps(said, sort_keys=True).encode())


def _names_other_files(graph: bytes) -> bool:
    """Does a graph take weights from files beside it?

    They would be looked for in the working directory, unchecked. In protocol buffers a text follows its length, whose
    last byte is 8 for the key that such weights must have, or 0 where zeros were added to the length.
    """
    # Nearly always the word alone is missing, which is seen in one pass.
    return b"location" in graph and (b"\x08location" in graph or b"\0location" in graph)


def _fingerprint(hashes: Mapping[str, Any], preprocess: Mapping[str, Any]) -> str:
    named = {name: hashes[name]["sha256"] for name in sorted(hashes)}
    return _sha256(json.dumps([named, preprocess], sort_keys=True).encode())[:16]


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
