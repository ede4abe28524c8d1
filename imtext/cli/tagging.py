"""`imtext tag`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from imtext.cli.options import BundleOption, IndexOption, JsonOption, find_model
from imtext.cli.printing import exit_on_closed_pipe, json_row, one_line, print_rows
from imtext.errors import SearchError


def tag(
    pictures: Annotated[list[str], typer.Argument(help="Pictures.")],
    labels: Annotated[str | None, typer.Option(help="What they may show: beach,dog,mountains.")] = None,
    labels_file: Annotated[Path | None, typer.Option(help="A file with one label per line.")] = None,
    template: Annotated[
        list[str] | None,
        typer.Option(help='A sentence with {} for the label, "a photo of a {}"; may be repeated: the mean is taken.'),
    ] = None,
    bundle: BundleOption = None,
    index: IndexOption = None,
    top_k: Annotated[int, typer.Option("--top-k", "-k", min=1, help="Maximum number of labels of a picture.")] = 3,
    as_json: JsonOption = False,
) -> None:
    """Tag pictures with your labels; the model needs no training for them."""
    exit_on_closed_pipe()
    from imtext.search import create_predictor
    from imtext.search.tagging import TEMPLATES, Tagger

    wanted = _read_labels(labels, labels_file)
    predictor = create_predictor(find_model(bundle, index))
    tagger = Tagger(predictor.encoder, wanted, template or TEMPLATES)
    tagged = []
    for path, vector in zip(pictures, predictor.encode_images(pictures), strict=True):
        found = tagger.tag(vector, top_k)
        tagged.append({"path": path, "tags": [json_row("label", one.text, one.score, one.relevance) for one in found]})
        if not as_json:
            print(one_line(path))
            print_rows((one.text, one.score, one.relevance, "") for one in found)
    if as_json:
        print(json.dumps(tagged, indent=2))


def _read_labels(labels: str | None, file: Path | None) -> Sequence[str]:
    if (labels is None) == (file is None):
        raise SearchError("Name labels: --labels beach,dog,mountains, or --labels-file FILE with one per line")
    if file is None:
        return (labels or "").split(",")
    try:
        return file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SearchError(f"--labels-file {file} cannot be read: {error}") from error
