"""The manifest of a bundle: its content, its own hash, and the upgrade of older schemas."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from imtext.errors import BundleError
from imtext.preprocess.tokenizer import load_tokenizer

SCHEMA = 2
MANIFEST, TOKENIZER = "manifest.json", "tokenizer.json"
EXPORT_AGAIN = "Export it again: imtext export <run>, or of a ready model imtext bundle <model>"


def make_manifest(facts: Mapping[str, Any], files: Mapping[str, bytes]) -> dict[str, Any]:
    """A manifest with its own hash.

    Args:
        facts: facts about the model; at least `preprocess`.
        files: name → content of every other file of the bundle.
    """
    hashes = {name: {"sha256": sha256(content), "bytes": len(content)} for name, content in files.items()}
    manifest = {**facts, "schema": SCHEMA, "fingerprint": _fingerprint(hashes, facts["preprocess"]), "files": hashes}
    return seal(manifest)


def seal(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """The same manifest with the hash of all other entries in `sha256`."""
    return {**manifest, "sha256": _seal(manifest)}


def read_manifest(folder: Path) -> dict[str, Any]:
    """Read the manifest of a bundle, without upgrading its schema.

    Raises:
        BundleError: the manifest is missing, unreadable, of a newer schema, or altered.
    """
    path = folder / MANIFEST
    try:
        manifest = json.loads(path.read_text())
    except FileNotFoundError:
        raise BundleError(
            f"{folder} is not a bundle: it has no {MANIFEST}. Make one: imtext export <run>, or of a ready model "
            "imtext bundle <model>; imtext bundle --list names some"
        ) from None
    except (OSError, ValueError, RecursionError) as error:
        raise BundleError(f"{path} cannot be read ({error}). {EXPORT_AGAIN}") from error
    schema = manifest.get("schema") if isinstance(manifest, dict) else None
    if schema not in range(1, SCHEMA + 1):
        raise BundleError(
            f"{folder} is a bundle of schema {schema}, but this imtext reads only up to {SCHEMA}: update imtext. "
            f"{EXPORT_AGAIN}"
        )
    if manifest.get("sha256") != _seal(manifest):
        raise BundleError(f"{path} was altered, or written by an older imtext: its hash differs. {EXPORT_AGAIN}")
    return dict(manifest)


def upgrade(manifest: Mapping[str, Any], tokenizer: bytes) -> dict[str, Any]:
    """Upgrade a manifest of any schema to the current schema.

    Bundles of schema 1 have two graphs and a vocabulary that was learnt from captions.

    Args:
        manifest: result of `read_manifest`.
        tokenizer: content of the bundle's `tokenizer.json`.

    Raises:
        ConfigError: the content is not a tokenizer.
    """
    if manifest["schema"] == SCHEMA:
        return dict(manifest)
    vocabulary = load_tokenizer(tokenizer, "words").vocabulary.to_dict()
    return {**manifest, "graphs": {"image": "image.onnx", "text": "text.onnx"}, "tokenizer": vocabulary}


def sha256(content: bytes) -> str:
    """The hash of a file's content, in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def _seal(manifest: Mapping[str, Any]) -> str:
    entries = {name: value for name, value in manifest.items() if name != "sha256"}
    return sha256(json.dumps(entries, sort_keys=True).encode())


def _fingerprint(hashes: Mapping[str, Any], preprocess: Mapping[str, Any]) -> str:
    """Identify the embedding space: bundles with the same fingerprint give the same vectors."""
    named = {name: hashes[name]["sha256"] for name in sorted(hashes)}
    return sha256(json.dumps([named, preprocess], sort_keys=True).encode())[:16]
