"""Cached image features: the output of frozen blocks for every training picture, computed once and kept on disk."""

from __future__ import annotations

import hashlib
import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from rich.progress import track
from torch import Tensor, nn

from imtext.data.captions import Split, fingerprint
from imtext.data.datamodule import RetrievalDataModule
from imtext.data.pictures import PER_PASS
from imtext.data.prefetch import prefetch
from imtext.data.rows import CachedRows, only_writer, write_rows
from imtext.errors import ConfigError, DataError
from imtext.models import ImageEncoder
from imtext.training.distributed import is_rank_zero
from imtext.training.stages import Plan, Stage

log = logging.getLogger(__name__)
STATE = {"training", "num_frozen", "_is_full_backward_hook"}  # attributes of modules that do not affect the features


class FrozenFeatures:
    """Cached features as a source of images for batches.

    Args:
        features: row `v * len(rows) + n` is view v of the n-th picture in `rows`.
        rows: rows of these pictures in the source.
        views: number of variants of each picture, all of one size.
        first_block: the first block of the image tower that is applied to the features.
    """

    def __init__(self, features: CachedRows, rows: Sequence[int], views: int, first_block: int) -> None:
        self.features, self.views, self.first_block = features, views, first_block
        self.position = {row: position for position, row in enumerate(rows)}

    def first_view(self) -> FrozenFeatures:
        """The same source, but always with the first view of a picture, which is not augmented."""
        return FrozenFeatures(self.features, list(self.position), 1, self.first_block)

    def batch(self, rows: Sequence[int], choices: Sequence[np.random.Generator], size: int | None = None) -> Tensor:
        """``[B, …]`` float32, one view of each picture. They have a size already."""
        views = [int(choice.integers(self.views)) for choice in choices]
        found = [
            self.features[view * len(self.position) + self.position[row]] for row, view in zip(rows, views, strict=True)
        ]
        return torch.from_numpy(np.stack(found)).float()


class FeaturesBySize:
    """Cached features of pictures of several sizes: a batch has the views of one size.

    Args:
        sizes: size of a picture in pixels → its views.
        first_block: the first block of the image tower that is applied to the features.
    """

    def __init__(self, sizes: Mapping[int, FrozenFeatures], first_block: int) -> None:
        self.sizes, self.first_block = sizes, first_block

    def batch(self, rows: Sequence[int], choices: Sequence[np.random.Generator], size: int | None = None) -> Tensor:
        """``[B, …]`` float32, one view of each picture, of this size."""
        assert size is not None
        return self.sizes[size].batch(rows, choices)


Features = FrozenFeatures | FeaturesBySize


def cache_features(
    encoder: ImageEncoder, plan: Plan, data: RetrievalDataModule, device: torch.device, epochs: range
) -> dict[int, Features | None]:
    """Compute the image features that the stages of a plan need and that are not on disk yet.

    Features depend on the data, the weights of the frozen blocks, the preprocessing and the augmentation. A fingerprint
    of all these is the name of the file. Features do not depend on the seed, so runs with different seeds share them.
    The first view is the picture without augmentation; the others are augmented.

    With `data.scales`, the views take the sizes in turn, and each size has a file of its own. Sizes that no remaining
    epoch needs are left out.

    Args:
        encoder: image tower with the weights of the frozen blocks.
        plan: the blocks that are frozen in each epoch, and the number of cached views.
        data: after `setup`.
        device: device to compute on.
        epochs: the remaining epochs, counted from 0; features of other stages are not computed.

    Returns:
        Value of `RetrievalDataModule.features`: first epoch → features, or None for pictures.

    Raises:
        DataError: there is too little disk space, or the folder cannot be written.
        ConfigError: a stage has fewer views than `data.scales` has sizes.
    """
    found: dict[int, Features | None] = {}
    for stage in plan.stages_in(epochs):
        own = [epoch for epoch in epochs if plan.stages[plan.name_at(epoch)] is stage]
        found[stage.after_epochs] = _cached(encoder, stage, data, device, own) if stage.views else None
    return found


def digest_weights(blocks: Sequence[nn.Module]) -> str:
    """A hash of the weights of blocks and of the modules that compute with them."""
    digest = hashlib.sha256()
    for block in blocks:
        # The hash includes the modules, because another tower may have the same weights.
        digest.update(
            f"{block} {[f'{type(each).__module__}.{type(each).__qualname__}' for each in block.modules()]}".encode()
        )
        digest.update(_settings(block).encode())
        for name, value in {**block.state_dict(), **dict(block.named_buffers())}.items():
            digest.update(name.encode())
            digest.update(value.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _settings(block: nn.Module) -> str:
    """Plain attributes of all modules, such as the number of heads, which are not in the weights and classes."""
    return str(
        [
            {name: value for name, value in sorted(vars(module).items())
             if isinstance(value, bool | int | float | str) and name not in STATE}
            for module in block.modules()
        ]
    )  # fmt: skip


def frozen_features(
    encoder: ImageEncoder,
    blocks: int,
    views: int,
    data: RetrievalDataModule,
    device: torch.device,
    split: Split = "train",
) -> FrozenFeatures:
    """The output of the first blocks for every picture of a split, from the disk or computed now.

    Args:
        encoder: image tower.
        blocks: number of blocks.
        views: the picture, and `views - 1` augmented variants of it.
        data: after `setup`.
        device: device to compute on.
        split: whose pictures.

    Raises:
        DataError: there is too little disk space, or the folder cannot be written.
    """
    # Without augmentation all views would be the same.
    return _cached_views(encoder, blocks, range(1 if data.augment is None else views), None, data, device, split)


def _cached(
    encoder: ImageEncoder, stage: Stage, data: RetrievalDataModule, device: torch.device, epochs: Sequence[int]
) -> Features:
    blocks, augmented = int(stage.frozen_blocks), data.augment is not None
    if data.scales is None:
        return frozen_features(encoder, blocks, stage.views, data, device)
    sizes, used = data.scales.sizes, data.scales.sizes_in(epochs)
    views = stage.views if augmented else len(sizes)  # all views of a size would be the same
    if views < len(sizes):
        raise ConfigError(
            f"a stage has views={views}, but data.scales has {len(sizes)} sizes: each view has one size, so take "
            f"views={len(sizes)} or more, or fewer sizes"
        )
    by_size = {
        size: _cached_views(encoder, blocks, range(first, views, len(sizes)), size, data, device)
        for first, size in enumerate(sizes)
        if size in used
    }
    return FeaturesBySize(by_size, blocks)


def _cached_views(
    encoder: ImageEncoder,
    blocks: int,
    views: range,
    size: int | None,
    data: RetrievalDataModule,
    device: torch.device,
    split: Split = "train",
) -> FrozenFeatures:
    """The features of these views, all of one size."""
    rows = data.rows[split]
    parts = [
        data.fingerprint,
        str(rows),
        str(data.preprocess),
        str(data.augment),
        digest_weights(encoder.blocks[:blocks]),
        f"{blocks} {len(views)} {device.type}",
    ]
    if size is not None:
        parts.append(f"{size} {views}")
    path = data.cache_dir / f"features-{fingerprint(parts)}.npy"
    with only_writer(path) as missing:
        if missing:
            _compute(encoder, blocks, rows, views, size, data, device, path)
    return FrozenFeatures(CachedRows(path), rows, len(views), blocks)


@torch.no_grad()  # not inference_mode: parameters moved to another device in it cannot learn afterwards
def _compute(
    encoder: ImageEncoder,
    blocks: int,
    rows: Sequence[int],
    views: range,
    size: int | None,
    data: RetrievalDataModule,
    device: torch.device,
    path: Path,
) -> None:
    training = encoder.training
    encoder.eval().to(device)
    plain, augmented = data.pictures(), data.pictures(data.augment)

    def pictures(part: tuple[int, Sequence[int]]) -> Tensor:
        # The random choices of a view depend only on its number and the row, so every run has the same views.
        view, some = part
        return (augmented if view else plain).batch(some, [np.random.default_rng([view, row]) for row in some], size)

    def features(images: Tensor) -> npt.NDArray[np.float16]:
        found: npt.NDArray[np.float16] = encoder.lower(images.to(device), blocks).half().cpu().numpy()
        if not np.isfinite(found).all():
            raise DataError(
                f"The features after {blocks} blocks do not fit into half precision, in which they are cached: set "
                "views=0 in the stages, or freeze another number of blocks"
            )
        return found

    parts = [(view, rows[start : start + PER_PASS]) for view in views for start in range(0, len(rows), PER_PASS)]

    def batches() -> Iterator[npt.NDArray[np.float16]]:
        # A CPU has no cores to spare; an accelerator would wait for the pictures.
        ready = map(pictures, parts) if device.type == "cpu" else prefetch(pictures, parts)
        for images in track(ready, "Features", len(parts), transient=True, disable=not is_rank_zero()):
            yield features(images)

    shape = (len(views) * len(rows), *features(pictures((views[0], rows[:1]))).shape[1:])
    log.info(
        "Features of %s pictures after %d blocks, variants of each: %d; %.2f GB in %s",
        f"{len(rows):,}", blocks, len(views), math.prod(shape) * 2 / 1e9, path,
    )  # fmt: skip
    write_rows(path, shape, np.float16, batches())
    encoder.train(training)
