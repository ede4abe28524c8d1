"""Replace the model in use by a better one: compare two registered versions on the same pictures and captions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from omegaconf import DictConfig

from imtext.config.compose import compose_config
from imtext.errors import CheckpointError, ConfigError
from imtext.evaluation.bundle_scores import BundleScores, validation_pairs
from imtext.evaluation.definitions import DIRECTIONS
from imtext.evaluation.ranks import retrieval_ranks
from imtext.training.checkpoints import load_model
from imtext.training.registry import Version, find_version, registered_bundle, set_alias
from imtext.training.sweep.comparison import Difference, paired
from imtext.training.trained_data import build_data

K = 10
Found = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Comparison:
    """Two versions on the same pictures.

    Attributes:
        challenger: version that wants the place of the other.
        champion: version that has it; None: nobody has.
        recalls: R@10 in per cent by direction, of the challenger and of the champion.
        difference: of the mean of both directions, paired by picture.
    """

    challenger: Version
    champion: Version | None
    recalls: dict[str, tuple[float, float]]
    difference: Difference | None


def promote(
    wanted: str, name: str, alias: str = "champion", overrides: Sequence[str] = (), force: bool = False
) -> Comparison:
    """Give an alias to a version, unless the version that has it finds more.

    Both are measured on the validation split of the challenger's run, picture by picture; equal is good enough.

    Args:
        wanted: number or alias of the version.
        name: name of the registered model.
        alias: the alias.
        overrides: of the data settings, such as ``data.path=…`` if the data has moved.
        force: give the alias to a worse version, too, without measuring.

    Raises:
        ConfigError: there is no such version, it finds less, or the versions were not trained on the same data.
        CheckpointError: the checkpoint that knows the data of a version is gone.
    """
    challenger = find_version(name, wanted)
    try:
        champion = find_version(name, alias)
    except ConfigError:  # nobody has the alias yet
        champion = None
    if champion is None or champion.number == challenger.number or force:
        set_alias(challenger, alias)
        return Comparison(challenger, champion, {}, None)
    config = compose_config("evaluate", ["ckpt_path=best", *overrides])
    new, old = (_found(version, config) for version in (challenger, champion))
    if [len(each) for each in new.values()] != [len(each) for each in old.values()]:
        raise ConfigError(f"{challenger.uri} and {champion.uri} have other validation pictures; add --force")
    recalls = {direction: (100 * float(new[direction].mean()), 100 * float(old[direction].mean())) for direction in new}
    difference = paired(*(100 * np.mean([found[each] for each in DIRECTIONS], axis=0) for found in (new, old)))
    if difference.mean < 0:
        sure = "" if difference.decided else ", which may be chance"
        raise ConfigError(
            f"{challenger.uri} finds less than {champion.uri}: R@{K} {difference} points{sure}, mean of both "
            f"directions over {len(new['i2t'])} validation pictures. {alias} stays. Add --force to replace it anyway"
        )
    set_alias(challenger, alias)
    return Comparison(challenger, champion, recalls, difference)


def _found(version: Version, config: DictConfig) -> dict[str, Found]:
    """For each picture of the validation split, the share of its queries with a right answer among the first ten."""
    checkpoint = Path(version.tags.get("checkpoint", ""))
    if not checkpoint.is_file():
        raise CheckpointError(
            f"{version.uri} was exported from {checkpoint}, which is gone, and with it the settings of its data. "
            "Promote without measuring: --force"
        )
    data = build_data(config.data, load_model(checkpoint))
    pixels, captions, answers = validation_pairs(data)
    scores = BundleScores.of(registered_bundle(version.uri), pixels, captions)
    images, texts, pictures = torch.from_numpy(scores.images), torch.from_numpy(scores.texts), torch.arange(len(pixels))
    ranks = retrieval_ranks(images, texts, pictures, torch.from_numpy(answers))
    hits = {direction: (rank <= K).double().numpy() for direction, rank in ranks.items()}
    captions_of = np.bincount(answers, minlength=len(pixels))
    return {"t2i": np.bincount(answers, hits["t2i"], len(pixels)) / captions_of, "i2t": hits["i2t"]}
