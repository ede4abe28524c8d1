"""The manifest: its own hash, and the upgrade to the current schema."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from imtext.errors import BundleError, ConfigError
from imtext.search import Bundle
from imtext.search.manifest import SCHEMA, make_manifest, read_manifest, seal, upgrade

FACTS: dict[str, Any] = {"preprocess": {"image_size": 32}, "embed_dim": 8}
FILES = {"image.onnx": b"image", "text.onnx": b"text", "tokenizer.json": b"{}"}


def write(folder: Path, manifest: object) -> Path:
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


def test_round_trip(tmp_path: Path) -> None:
    manifest = make_manifest(FACTS, FILES)
    assert read_manifest(write(tmp_path, manifest)) == manifest
    assert manifest["schema"] == SCHEMA
    assert manifest["files"]["image.onnx"]["bytes"] == 5


def test_fingerprint_names_the_embedding_space() -> None:
    fingerprint = make_manifest(FACTS, FILES)["fingerprint"]
    assert make_manifest({**FACTS, "metrics": {"a": 1}}, FILES)["fingerprint"] == fingerprint
    assert make_manifest(FACTS, {**FILES, "text.onnx": b"other"})["fingerprint"] != fingerprint
    assert make_manifest({**FACTS, "preprocess": {"image_size": 64}}, FILES)["fingerprint"] != fingerprint


def test_altered(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="its hash differs"):
        read_manifest(write(tmp_path, {**make_manifest(FACTS, FILES), "embed_dim": 9}))


@pytest.mark.parametrize("schema", [0, SCHEMA + 1, None, "1"])
def test_unknown_schema(tmp_path: Path, schema: object) -> None:
    with pytest.raises(BundleError, match=f"schema {schema}, but this imtext reads only up to {SCHEMA}: update imtext"):
        read_manifest(write(tmp_path, seal({**make_manifest(FACTS, FILES), "schema": schema})))


@pytest.mark.parametrize("content", ["", "{", "[]", "null"])
def test_not_a_manifest(tmp_path: Path, content: str) -> None:
    (tmp_path / "manifest.json").write_text(content)
    with pytest.raises(BundleError):
        read_manifest(tmp_path)
    with pytest.raises(BundleError, match="is not a bundle"):
        read_manifest(tmp_path / "missing")


def test_upgrade_of_schema_1(bundle: Bundle) -> None:
    tokenizer = bundle.read("tokenizer.json")
    old = {key: value for key, value in bundle.manifest.items() if key not in ("graphs", "tokenizer")} | {"schema": 1}
    upgraded = upgrade(old, tokenizer)
    assert upgraded["graphs"] == {"image": "image.onnx", "text": "text.onnx"}
    assert upgraded["tokenizer"] == bundle.vocabulary.to_dict()
    assert upgrade(bundle.manifest, tokenizer) == bundle.manifest, "nothing to do"
    with pytest.raises(ConfigError, match=r"not a tokenizer\.json"):
        upgrade(old, b"{}")
