"""Write docs/models.md, "Which model should I take?": ``python -m scripts.models speeds.json``.

Quality is that of the runs of the MLflow experiment `flickr8k_towers`, one row for each tag `row`. Speed is that of
`python -m imtext.benchmark models <bundles of these runs> --json speeds.json`, all in one run.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from mlflow import MlflowClient
from mlflow.entities import Run

from scripts.results import RECALLS, finished, minutes, spread

PAGE = Path("docs/models.md")


class Published(NamedTuple):
    """A pretrained model that cannot be measured without a network, with figures that others published."""

    name: str
    parameters: str  # millions, image + text
    flickr8k: str  # zero-shot R@1 / 5 / 10 on the 1,000 test images; – where none was published
    flickr30k: str  # the same on the 1,000 test images of Flickr30k
    source: str


# R@K of text → image, then image → text.
PUBLISHED = [
    Published("CLIP ViT-B/32, OpenAI", "88 + 63", "51.1 / 77.9 / 86.4, 68.2 / 88.4 / 94.6",
              "58.8 / – / 90.0, 78.9 / – / 98.2", "ericjtyao05-cmd/CLIP-ViT-B-32-on-Flickr8k; open_clip"),
    Published("CLIP ViT-B/32, LAION-2B", "88 + 63", "– / 86.3 / –, – / 94.1 / –", "66.8 / – / 93.1, 84.1 / – / 98.3",
              "CLIP_benchmark; open_clip"),
    Published("CLIP ViT-L/14, LAION-2B", "304 + 124", "– / 91.5 / –, – / 96.7 / –", "–", "CLIP_benchmark"),
    Published("MobileCLIP-S0", "11 + 42", "–", "67.7 / 88.8 / 93.3, 85.9 / 97.1 / 98.8", "apple/ml-mobileclip"),
    Published("MobileCLIP2-S2", "36 + 63", "–", "74.8 / 92.9 / 95.9, 90.4 / 98.2 / 99.4", "apple/ml-mobileclip"),
    Published("SigLIP ViT-B/16, WebLI", "93 + 110", "–", "74.7 / – / 95.6, 89.1 / – / 99.3", "open_clip"),
]  # fmt: skip


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    here = f"sqlite:///{Path.cwd() / 'runs' / 'mlflow.db'}"
    parser.add_argument("speeds", type=Path, help="what imtext.benchmark models --json wrote")
    parser.add_argument("--tracking-uri", default=os.environ.get("MLFLOW_TRACKING_URI", here))
    parser.add_argument("--output", type=Path, default=PAGE)
    args = parser.parse_args()
    runs = finished(MlflowClient(args.tracking_uri), "flickr8k_towers")
    if not runs:
        raise SystemExit(f"error: {args.tracking_uri} has no finished run of flickr8k_towers")
    args.output.write_text(page(runs, json.loads(args.speeds.read_text())))
    print(f"{args.output}: {len(runs)} runs")


def page(runs: Iterable[Run], speeds: dict[str, Any]) -> str:
    """The text of the page.

    Args:
        runs: finished runs, the oldest first.
        speeds: the result of `imtext.benchmark.models.benchmark_models`.
    """
    rows: dict[str, list[Run]] = {}
    for run in runs:
        rows.setdefault(run.data.tags.get("row", run.info.run_name or ""), []).append(run)
    of_run = {Path(each["path"]).parent: each for each in speeds["models"] if "path" in each}
    measured = [measured_row(name, members, of_run) for name, members in rows.items()]
    others = [each for each in speeds["models"] if not any(is_of(each, members) for members in rows.values())]
    return INTRODUCTION.format(
        measured="\n".join(measured),
        published="\n".join(f"| {' | '.join(each)} |" for each in PUBLISHED),
        speeds="\n".join(speed_row(each) for each in others),
        pictures=speeds["pictures"],
    )


def is_of(speed: dict[str, Any], runs: Iterable[Run]) -> bool:
    """Whether a bundle's speed is that of one of these runs."""
    return "path" in speed and any(str(Path(speed["path"]).parent) == run.data.tags.get("output_dir") for run in runs)


def measured_row(name: str, runs: list[Run], speeds: dict[Path, dict[str, Any]]) -> str:
    """One row of the first table: size, speed and quality of a pair of towers."""
    speed = next((speeds[path] for run in runs if (path := Path(run.data.tags["output_dir"])) in speeds), None)
    facts = ["–"] * 4
    if speed is not None:
        millions = " + ".join(f"{speed['parameters'].get(tower, 0) / 1e6:.1f}" for tower in ("image", "text"))
        facts = [
            millions,
            f"{speed['bytes'] / 1e6:.0f}",
            f"{speed['images_per_second']:.0f}",
            f"{speed['query_ms']:.1f}",
        ]
    recalls = [" / ".join(spread(runs, f"val/{key}", 100) for key in keys) for keys in (RECALLS[:3], RECALLS[3:])]
    seeds = ", ".join(run.data.params.get("seed", "?") for run in runs)
    cells = [name, *facts, *recalls, seeds, f"{min(map(minutes, runs)):.0f}"]
    return f"| {' | '.join(cells)} |"


def speed_row(speed: dict[str, Any]) -> str:
    """One row of the last table: only size and speed."""
    size = f"{speed['bytes'] / 1e6:.0f}" if "bytes" in speed else "–"
    return f"| {speed['name']} | {size} | {speed['images_per_second']:.1f} | {speed['query_ms']:.1f} |"


INTRODUCTION = """# Which model should I take?

Written by `python -m scripts.models` from measured runs.

- **Photos, and no captions**: take a published CLIP model, see
  [Search without training](search.md#search-without-training). It has seen hundreds of millions of pairs.
- **Photos and your own captions**: fine-tune such a model, see [CLIP](train.md#clip).
- **Your own pairs, a small and fast model, or no download**: train two towers. With few captions, a pretrained text
  tower and a better image tower gain most.

## Measured: towers at equal budget

`experiment=flickr8k_towers`: the image tower is frozen, 16 epochs, Flickr8K's official validation split, 1,000 images
and 5,000 captions. R@1 / 5 / 10 in per cent; M: millions of parameters, image + text. Speed on two CPU cores with ONNX
Runtime, {pictures} photos, all models in one run; the picture and its mirror image are embedded. Minutes are
those of the fastest seed on one core of a busy machine, without the features of the image tower, which all rows share.

```text
python -m imtext.train experiment=flickr8k_towers data.path=<folder> seed=1 <image tower> <text tower> +tags.row=<name>
python -m imtext.benchmark models <bundles> --pictures <folder> --count {pictures} --peer open_clip=local-dir:<folder> \
    --peer transformers=<folder> --json speeds.json

MobileNetV3-Small      model.image_encoder.weights=<file>
EfficientNet-Lite0     model/image_encoder=timm model.image_encoder.weights=<file>
bag of words           model/text_encoder=bow model.text_encoder.word_scale=0.05 model.text_encoder.word_init=lsa
  random start         … without word_init
LSTM, GRU              model/text_encoder=lstm (gru) model.text_encoder.hidden_dim=256 model.text_encoder.word_init=lsa
transformer            model/text_encoder=transformer model.text_encoder.word_dim=128 model.text_encoder.num_layers=1
                       model.text_encoder.word_dropout=0.1
word vectors           model/text_encoder=static model.text_encoder.path=<file> model.text_encoder.tokenizer=<file>
MiniLM                 model/text_encoder=hf model.text_encoder.name=<folder of all-MiniLM-L6-v2>
                       stages.heads.frozen_text_blocks=all stages.heads.cache_text=true
```

| image tower, text tower | M | MB | pictures/s | query ms | text → image | image → text | seeds | minutes |
|---|---|---|---|---|---|---|---|---|
{measured}

Not run, because their weights could not be downloaded: MobileNetV3-Large, vision transformers and DINOv2. The tests
train, resume, export and search with them and every text tower, from random weights.

## Published: not run here

Zero-shot figures of others, on the 1,000 **test** images; text → image, then image → text. These weights were not
downloaded for this page; their layouts are tested with random weights.

| model | M | Flickr8K R@1 / 5 / 10 | Flickr30k R@1 / 5 / 10 | source |
|---|---|---|---|---|
{published}

## Measured: speed of ViT-B/32

Random weights in the published layouts, in the same run as the first table: the bundle, and the loops that the
libraries document, in batches of 32. A query of a library is the embedding of the text alone.

| model | MB | pictures/s | query ms |
|---|---|---|---|
{speeds}
"""


if __name__ == "__main__":
    main()
