"""The model card of a bundle: what its manifest says, in Markdown for people and for the Hugging Face hub."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from imtext.errors import BundleError
from imtext.search.bundle import Bundle
from imtext.search.pretrained import RECOMMENDED
from imtext.search.pretrained.sources import is_repository

SPLITS = {"val": "validation", "test": "test"}
DIRECTIONS = {"t2i": "text → image", "i2t": "image → text"}
RECALLS = ("r@1", "r@5", "r@10")
RESIZED = {"squash": "squeezed to a square", "crop": "cropped to a square"}


def model_card(bundle: Bundle, licence: str | None = None, repository: str = "USER/NAME") -> str:
    """Describe a bundle.

    Args:
        bundle: the bundle.
        licence: of its weights, as the hub writes it; None: that of the recommended model that it was made of, or
            unknown.
        repository: ``owner/name`` of the bundle on the hub, for the commands.

    Returns:
        Markdown, after front matter that the hub reads.

    Raises:
        BundleError: `licence` is no identifier.
    """
    licence = _licence(bundle, licence)
    parts = [
        _front_matter(bundle, licence),
        f"# {bundle.manifest['name']}\n\n"
        "An image–text dual encoder: it finds pictures by words, and the texts that describe a picture. This is a "
        "bundle of imtext: ONNX graphs, a tokenizer and a manifest. Searching needs neither torch nor a GPU.",
        _table(("", ""), _facts(bundle)),
        f"## Use\n\n{_commands(repository)}",
        f"## Measured\n\n{_measured(bundle)}",
        f"## Relevance\n\n{_relevance(bundle)}",
        f"## Training data\n\n{_origin(bundle)}",
        "## Limits\n\n" + "\n".join(f"- {limit}" for limit in _limits(bundle)),
        f"## Licence\n\n{_terms(licence)}",
    ]
    return "\n\n".join(parts) + "\n"


def _licence(bundle: Bundle, licence: str | None) -> str:
    if licence is None:
        source = bundle.manifest["tags"].get("source")
        licence = next((one.licence for one in RECOMMENDED.values() if one.repository == source), "unknown")
    if not re.fullmatch(r"[a-z0-9][a-z0-9.+-]*", licence.lower()):
        raise BundleError(f"--license takes an identifier such as mit or cc-by-4.0, not {licence!r}. The hub lists all")
    return licence.lower()


def _front_matter(bundle: Bundle, licence: str) -> str:
    source = bundle.manifest["tags"].get("source", "")
    return "\n".join([
        "---",
        f"license: {licence}",
        "library_name: imtext",
        "pipeline_tag: zero-shot-image-classification",
        *([f"base_model: {source}"] if is_repository(source) else []),
        "tags:",
        *(f"- {tag}" for tag in ("image-text-retrieval", "onnx")),
        "---",
    ])  # fmt: skip


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _facts(bundle: Bundle) -> Iterator[tuple[str, str]]:
    manifest, vocabulary = bundle.manifest, bundle.vocabulary
    if parameters := manifest.get("parameters"):
        for tower in ("image", "text"):
            yield f"{tower} tower", f"{parameters[tower] / 1e6:.1f} M parameters"
    size = bundle.preprocess.image_size
    yield "pictures", f"{size} × {size} pixels, {RESIZED[bundle.preprocess.resize]}"
    yield "texts", f"up to {vocabulary.max_length} tokens, of {vocabulary.size:,} in its vocabulary"
    yield "embeddings", f"{bundle.embed_dim:,} numbers of unit length"
    if bundle.reranker:
        places, dim = bundle.reranker.grid
        yield "re-ranker", f"scores the best {bundle.reranker.top_k} again, by {places} places × {dim} numbers"
    yield "precision", manifest.get("precision") or manifest["tags"].get("precision", "float32")
    yield "files", f"{', '.join(manifest['files'])}: {bundle.megabytes:.1f} MB"
    yield "fingerprint", f"`{bundle.fingerprint}`"


def _commands(repository: str) -> str:
    name = repository.rpartition("/")[2]
    return (
        f"```bash\npip install imtext\nimtext pull {repository} -o {name}\nimtext index ~/Pictures --bundle {name}\n"
        'imtext search "a dog on the beach"\n```\n\n'
        f"`imtext index ~/Pictures --bundle hf://{repository}` downloads it, too. Hashes of all files are checked."
    )


def _measured(bundle: Bundle) -> str:
    metrics = bundle.manifest["metrics"]
    rows = [row for split in SPLITS for kind in ("", "rerank_") for row in _rows(metrics, split, kind)]
    if not rows:
        return "The manifest records no metrics of retrieval."
    galleries = " and ".join(
        f"{metrics[f'{split}/num_images']:,.0f} pictures and {metrics[f'{split}/num_captions']:,.0f} captions of the "
        f"{name} split"
        for split, name in SPLITS.items()
        if f"{split}/num_images" in metrics and f"{split}/num_captions" in metrics
    )
    return (
        f"{f'On {galleries}. ' if galleries else ''}Each query is ranked against the whole split. R@K is the share of "
        "queries with a right answer among the first K; in brackets are 95 % intervals over pictures, where they were "
        f"measured.\n\n{_table(('split', 'direction', 'R@1', 'R@5', 'R@10', 'MRR', 'median rank'), rows)}"
    )


def _rows(metrics: Mapping[str, float], split: str, kind: str) -> Iterator[tuple[str, ...]]:
    """Both directions of one split, as far as they were measured."""
    for direction, title in DIRECTIONS.items():
        name = f"{split}/{kind}{direction}_"
        if f"{name}r@10" in metrics:
            recalls = [_with_interval(metrics, name + recall, 100, ".1f") for recall in RECALLS]
            rank = f"{metrics[f'{name}median_rank']:.0f}" if f"{name}median_rank" in metrics else "–"
            again = ", re-ranked" if kind else ""
            yield SPLITS[split], title + again, *recalls, _with_interval(metrics, f"{name}mrr", 1, ".3f"), rank


def _with_interval(metrics: Mapping[str, float], name: str, factor: float, form: str) -> str:
    if name not in metrics:
        return "–"
    value, low, high = (
        format(factor * metrics[key], form) if key in metrics else "" for key in (name, f"{name}_low", f"{name}_high")
    )
    unit = " %" if factor == 100 else ""
    return f"{value}{unit} ({low}–{high})" if low and high else f"{value}{unit}"


def _relevance(bundle: Bundle) -> str:
    calibration = (bundle.reranker or bundle).calibration
    if calibration is None:
        return (
            "Results have scores, but no per cents. To add them, measure it on pictures with captions: "
            "`imtext calibrate BUNDLE --data captions.csv`."
        )
    return (
        "Results have per cents: the probability that a picture is what the text describes. Results below "
        f"{100 * calibration.min_relevance:.0f} % are not shown; nine of ten queries with an answer have a best result "
        f"above that. Of queries without an answer in the gallery, {100 * calibration.refused:.0f} % get no result. "
        f"The calibration error is {100 * calibration.error:.1f} points, on pictures that they were not fitted to."
    )


def _origin(bundle: Bundle) -> str:
    tags = bundle.manifest["tags"]
    dirty = " with changes that were not committed" if tags.get("git_dirty") == "true" else ""
    known = {
        "made of": _public(tags.get("source")),
        "data set": _public(tags.get("data_source")),
        "fingerprint of the data": tags.get("data_fingerprint"),
        "commit of imtext": f"{tags['git_commit']}{dirty}" if "git_commit" in tags else None,
        "run": _public(tags.get("output_dir")),
        "smaller form of the bundle": bundle.manifest.get("quantized_from"),
    }
    rows = [(name, f"`{value}`") for name, value in known.items() if value]
    return _table(("", ""), rows) if rows else "The manifest does not record it."


def _public(source: str | None) -> str | None:
    """A name, or the last part of a path: nobody else has the folders of this machine."""
    return Path(source).name if source and not is_repository(source) else source


def _limits(bundle: Bundle) -> Iterator[str]:
    yield "Queries must be in the language of the captions that it was trained with."
    if bundle.vocabulary.kind == "words":
        yield f"It knows the {bundle.vocabulary.size:,} entries of its vocabulary, and cannot tell other words apart."
    yield f"Of a text, it reads the first {bundle.vocabulary.max_length} tokens."
    yield "What its training pictures seldom show, it finds badly. The manifest does not say how many there were."
    yield (
        "The numbers hold for pictures and texts like those that it was measured on. `imtext calibrate` measures it on "
        "yours."
    )
    yield (
        "Captions carry the habits and prejudices of the people who wrote them, and it has learnt them. It is not for "
        "decisions about people: not to identify, to judge or to watch them."
    )


def _terms(licence: str) -> str:
    if licence == "unknown":
        return "The licence of the weights is unknown: ask their owner before you use them."
    return f"Weights: {licence}. The pictures and captions of the training have licences of their own."
