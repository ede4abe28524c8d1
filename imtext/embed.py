"""Store a teacher's embeddings of all pictures and captions: ``python -m imtext.embed ckpt_path=best``.

Training reads the file with ``data.teacher=teacher.safetensors``, so the teacher itself runs only once. A pretrained
model needs no checkpoint: ``python -m imtext.embed model=clip model.name=<folder> data=…``.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from imtext.errors import DataError, needs

with needs("train", exits=__name__ == "__main__"):
    from omegaconf import DictConfig, ListConfig

    from imtext.config.launch import launch
    from imtext.config.schema import check_config

if TYPE_CHECKING:
    import torch

    from imtext.data import RetrievalDataModule
    from imtext.data.captions import Split
    from imtext.data.teacher import Teacher
    from imtext.training.checkpoints import TrainedModel

log = logging.getLogger(__name__)


def embed(config: DictConfig) -> Path:
    """Embed pictures and captions, and write the embeddings into one file.

    Several checkpoints make an ensemble: their n embeddings, each divided by √n, are joined. The result has unit
    length, and the similarity of a picture and a caption is the mean of the n similarities. The data of an ensemble is
    the data of the first checkpoint's run, unless the configuration names another data set; every model sees it with
    its own preprocessing and tokenizer.

    Args:
        config: composed from `conf/embed.yaml`.

    Returns:
        The file.

    Raises:
        ImtextError: a setting, the data or a checkpoint is wrong, or the file cannot be written.
    """
    import torch

    from imtext.data.teacher import write_teacher
    from imtext.training.devices import resolve_accelerator
    from imtext.training.trained_data import build_data, data_settings

    check_config(config, "embed")
    output = _prepare(Path(config.output).expanduser().absolute())
    splits: list[Split] = list(dict.fromkeys(config.splits))
    device = torch.device(resolve_accelerator(str(config.trainer.accelerator)))
    settings, teachers = None, []
    for name, trained in _models(config):
        log.info("Teacher: %s, on %s", name, device)
        # The first model decides about the data.
        settings = data_settings(config.data, trained.config) if settings is None else settings
        teachers.append(_embed(name, trained, build_data(settings, trained), splits, device))
    teacher = join(teachers)
    write_teacher(teacher, output)
    print(
        f"Teacher: {output}: {len(teacher.images):,} pictures and {len(teacher.texts):,} captions of "
        f"{', '.join(splits)}, {output.stat().st_size / 1e6:.1f} MB; temperature {teacher.facts['temperature']}",
        flush=True,
    )
    return output


def join(teachers: list[Teacher]) -> Teacher:
    """One teacher of several for the same pictures and captions; its similarities are the means of theirs."""
    from dataclasses import replace

    import numpy as np

    first, weight = teachers[0], len(teachers) ** -0.5
    if len(teachers) == 1:
        return first
    images, texts = (
        np.concatenate([weight * getattr(each, name).astype(np.float32) for each in teachers], axis=1)
        for name in ("images", "texts")
    )
    temperature = sum(float(each.facts["temperature"]) for each in teachers) / len(teachers)
    facts = {
        **first.facts,
        "model": ", ".join(each.facts["model"] for each in teachers),
        "temperature": f"{temperature:.4f}",
    }
    return replace(first, images=images.astype(np.float16), texts=texts.astype(np.float16), facts=facts)


def _models(config: DictConfig) -> Iterator[tuple[str, TrainedModel]]:
    """Name and model of every teacher, one after the other: only one is in memory."""
    from imtext.training.checkpoints import find_checkpoint, load_model
    from imtext.training.pretrained import load_pretrained

    if config.ckpt_path is None:
        yield str(config.model.get("name")), load_pretrained(config.model)
        return
    wanted = list(config.ckpt_path) if isinstance(config.ckpt_path, ListConfig) else [config.ckpt_path]
    for checkpoint in [find_checkpoint(str(each), Path(config.paths.runs_dir)) for each in wanted]:
        yield str(checkpoint), load_model(checkpoint)


def _embed(
    name: str, trained: TrainedModel, data: RetrievalDataModule, splits: list[Split], device: torch.device
) -> Teacher:
    """The embeddings of the splits by one model."""
    import numpy as np

    import imtext
    from imtext.data.teacher import Teacher, digests
    from imtext.evaluation.embed import embed_split

    data.require(*splits)
    images, texts, rows = [], [], []
    for split in splits:
        metrics = embed_split(trained.model, data.eval_dataloader(split), device, f"Embedding {split}")
        image, text, image_id, _ = metrics.gathered()  # in ascending order of rows, and of captions in a row
        images.append(image.half().cpu().numpy())
        texts.append(text.half().cpu().numpy())
        rows += image_id.tolist()
    captions = [(row, number) for row in rows for number in range(len(data.captions[row]))]
    facts = {
        "fingerprint": data.fingerprint,
        "model": name,
        "temperature": f"{trained.model.temperature:.4f}",
        "imtext": imtext.__version__,
    }
    return Teacher(
        np.concatenate(images),
        np.concatenate(texts),
        np.array(rows, np.int64),
        np.array(captions, np.int64),
        digests([data.captions[row][number] for row, number in captions]),
        facts,
    )


def _prepare(output: Path) -> Path:
    """Make the folder of the file, and refuse to replace anything but an older teacher, before the work begins."""
    from imtext.data.teacher import read_teacher

    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        if output.exists():
            read_teacher(output)
    except OSError as error:
        raise DataError(f"output={output}: {error}. Choose another file") from error
    except DataError as error:
        raise DataError(f"output={output} exists and holds something else. Choose another file") from error
    if not os.access(output.parent, os.W_OK):
        raise DataError(f"output={output}: this folder cannot be written. Choose another file")
    return output


def main() -> None:
    """The command line."""
    launch("embed", _task)


def _task(config: DictConfig) -> None:
    embed(config)


if __name__ == "__main__":
    main()
