"""From an exported CLIP model to a bundle: the graphs stay as they are, only their description is added."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

import imtext
from imtext.errors import BundleError, ConfigError
from imtext.preprocess.tokenizer import JsonTokenizer
from imtext.search import bundle as bundles
from imtext.search.bundle import Bundle, has_external_data, load_bundle, write_bundle
from imtext.search.graph import Graph, image_graph, image_inputs, open_session, text_graph, text_inputs
from imtext.search.manifest import MANIFEST
from imtext.search.pretrained import layout
from imtext.search.pretrained.hub import shared_bundle
from imtext.search.pretrained.layout import Facts, Precision, read_json
from imtext.search.pretrained.recommended import RECOMMENDED
from imtext.search.pretrained.sources import Source, default_output, open_source, repository_of
from imtext.search.pretrained.texts import make_tokenizer

EXTERNAL = ("_data", ".data")  # endings of files with the weights of a graph


def make_bundle(
    source: Source, output: Path, precision: Precision | None = None, max_length: int | None = None
) -> Bundle:
    """Write the bundle of an exported model.

    Args:
        source: result of `open_source`.
        output: folder of the bundle; replaced if it holds a bundle and nothing else.
        precision: of the graphs; None: the best there is.
        max_length: a lower maximum number of tokens of a text; None: that of the model.

    Raises:
        BundleError: a file is missing or not as its layout says, the graphs cannot be used or do not belong together,
            or the folder holds something else.
    """
    asked, found = _asked(precision, max_length), source.layout
    if found is None:
        raise source.unknown()
    try:
        files, precision = found.files(source.files, precision)
        _refuse_external(files, source)
        folder = source.fetch(list(files.values()))
        settings = {part: _settings(folder / name) for part, name in files.items() if name.endswith(".json")}
        facts = _facts(found, settings)
        contents = {part: _graph(folder / files[part]) for part in (layout.IMAGE, layout.TEXT)}
        image, text = _describe(files, contents)
        tokenizer = make_tokenizer((folder / files[layout.TOKENIZER]).read_bytes(), facts, text, max_length)
        embed_dim = _try(image, text, facts, tokenizer)
    except (BundleError, ConfigError, OSError) as error:
        raise BundleError(f"{source.name} cannot be used: {error}") from error
    described = {
        "name": Path(source.name).name,
        "imtext": imtext.__version__,
        "embed_dim": embed_dim,
        "mirror": False,
        "preprocess": facts.preprocess.to_dict(),
        "calibration": None,
        "metrics": {},
        "tags": {"source": source.name, "layout": found.title, "precision": precision, "asked": asked},
    }
    graphs = {bundles.IMAGE: contents[layout.IMAGE], bundles.TEXT: contents[layout.TEXT]}
    return write_bundle(output, graphs, tokenizer, described)


def named_bundle(name: Path) -> Path:
    """The folder that a name of a bundle means.

    Args:
        name: a folder; or the short name of a recommended model, or ``hf://owner/name`` of a bundle on the hub, which
            are downloaded if they were not before.

    Raises:
        BundleError: it cannot be downloaded.
    """
    short = str(name)
    if name.exists():
        return name
    if shared := shared_bundle(name):
        return shared
    if short not in RECOMMENDED:
        return name
    output, precision = default_output(short), RECOMMENDED[short].precision
    if made_before(short, output, precision) is None:
        make_bundle(open_source(short), output, precision)
    return output


def made_before(
    name: str, output: Path, precision: Precision | None = None, max_length: int | None = None
) -> Bundle | None:
    """The bundle in a folder, if it was made of this model of the hub with the same options; None otherwise.

    Args:
        name: ``owner/name`` or a short name; of a folder, which may have changed, a bundle is made every time.
        output: folder of the bundle.
        precision: as for `make_bundle`.
        max_length: as for `make_bundle`.
    """
    if Path(name).expanduser().is_dir() or not (output / MANIFEST).is_file():
        return None
    try:
        made = load_bundle(output)
    except BundleError:  # damaged: it is made again
        return None
    tags: Mapping[str, Any] = made.manifest.get("tags", {})
    same = tags.get("source") == repository_of(name)
    return made if same and tags.get("asked", _asked(None, None)) == _asked(precision, max_length) else None


def _asked(precision: Precision | None, max_length: int | None) -> str:
    """What the maker of a bundle asked for, as recorded in its tags."""
    return f"{precision or 'best'} precision, {max_length or 'all'} tokens"


def _refuse_external(files: Mapping[str, str], source: Source) -> None:
    """Refuse graphs without their weights before gigabytes are downloaded."""
    for part in (layout.IMAGE, layout.TEXT):
        if external := [files[part] + ending for ending in EXTERNAL if files[part] + ending in source.files]:
            raise BundleError(_external(files[part], external[0]))


def _external(graph: str, where: str) -> str:
    return (
        f"the weights of {graph} are in {where}, and imtext only runs graphs that hold their weights themselves (less "
        "than 2 GB). Take another --precision or a smaller model"
    )


def _settings(path: Path) -> Mapping[str, Any]:
    try:
        return read_json(path.read_bytes())
    except (ValueError, OSError) as error:
        raise BundleError(f"{path.name} cannot be read: {error}") from error


def _facts(found: layout.Layout, settings: Mapping[str, Mapping[str, Any]]) -> Facts:
    try:
        return found.facts(settings)
    except (KeyError, TypeError, ValueError, AttributeError, ConfigError) as error:
        reason = f"there is no {error}" if isinstance(error, KeyError) else str(error)
        raise BundleError(
            f"it has the layout of {found.title}, but its settings are not as expected: {reason}"
        ) from error


def _graph(path: Path) -> bytes:
    content = path.read_bytes()
    if has_external_data(content):
        raise BundleError(_external(path.name, "other files"))
    return content


def _describe(files: Mapping[str, str], contents: Mapping[str, bytes]) -> tuple[Graph, Graph]:
    described = []
    for part, describe in ((layout.IMAGE, image_graph), (layout.TEXT, text_graph)):
        try:
            described.append(describe(open_session(contents[part])))
        except BundleError as error:
            raise BundleError(f"{files[part]}: {error}") from error
    return described[0], described[1]


def _try(image: Graph, text: Graph, facts: Facts, tokenizer: JsonTokenizer) -> int:
    """Embed a picture and a text; returns the size of the joint space.

    Raises:
        BundleError: a graph fails, or they do not belong together.
    """
    size = facts.preprocess.image_size
    ids, mask = tokenizer(["a photo", "a dog on the beach"])
    try:
        pixels = image_inputs(image, [np.full((size, size, 3), 128, np.uint8)] * 2, facts.preprocess)
        vectors = image.embed(pixels), text.embed(text_inputs(text, ids, mask))
    except Exception as error:  # ONNX Runtime raises many kinds of errors
        raise BundleError(f"a graph fails: {str(error).splitlines()[0]}") from error
    shapes = [vector.shape for vector in vectors]
    if shapes[0] != shapes[1] or len(shapes[0]) != 2:
        raise BundleError(f"the graphs do not belong together: they give embeddings of {shapes[0]} and {shapes[1]}")
    if not all(np.isfinite(vector).all() and np.linalg.norm(vector, axis=1).all() for vector in vectors):
        raise BundleError("a graph gives numbers that are not finite; take another --precision")
    return int(shapes[0][1])
