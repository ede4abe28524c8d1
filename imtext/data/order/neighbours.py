"""Batches of neighbours: pictures whose captions the model confuses learn against each other."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from imtext.data.order.base import Order, Positions
from imtext.errors import ConfigError

NONE = -1  # in place of a neighbour


class Neighbours(Order):
    """Puts pictures and their hardest negatives into the same batches (mined again every few epochs).

    In a random batch most negatives are easy. Before an epoch in which mining is due, all training pictures and
    captions are embedded with the weights that train, and every picture gets the other pictures that its captions score
    highest as its neighbours. Batches then consist of groups: a picture drawn at random, and some of its neighbours.
    Every picture is in one group of an epoch; groups are smaller if the neighbours are taken.

    Mined negatives are often false ones: the captions describe them, too. Three guards leave these out. Pictures that
    share the text of a caption are never neighbours. A candidate that scores above `max_ratio` times the picture itself
    is left out (TopK-PercPos of NV-Retriever; Moreira et al., 2024). So are the `skip` nearest that remain.

    Args:
        group_size: number of pictures in a group: one, and `group_size - 1` of its neighbours.
        num_neighbours: number of neighbours that a picture's group is drawn from.
        after_epochs: number of epochs with batches drawn at random, before pictures are mined for the first time.
        every_n_epochs: number of epochs until pictures are mined again.
        max_ratio: highest score of a neighbour, as a share of the score of the picture itself.
        skip: number of the nearest candidates that are left out.

    Attributes:
        neighbours: ``[pictures, num_neighbours]``, positions of each picture's neighbours, the nearest first, padded
            by -1; None before the first mining.
        mined_for: the epoch before which they were mined.

    Raises:
        ConfigError: a value is out of range.
    """

    known_early = False  # mining comes first

    def __init__(
        self,
        group_size: int = 4,
        num_neighbours: int = 10,
        after_epochs: int = 1,
        every_n_epochs: int = 1,
        max_ratio: float = 0.95,
        skip: int = 0,
    ) -> None:
        lowest = {"group_size": 2, "num_neighbours": 1, "after_epochs": 0, "every_n_epochs": 1, "skip": 0}
        given = {
            "group_size": group_size, "num_neighbours": num_neighbours, "after_epochs": after_epochs,
            "every_n_epochs": every_n_epochs, "skip": skip,
        }  # fmt: skip
        for name, value in given.items():
            if value < lowest[name]:
                raise ConfigError(f"data.order.{name}={value}: it must be at least {lowest[name]}")
        if group_size - 1 > num_neighbours:
            raise ConfigError(
                f"data.order.group_size={group_size}: a group takes {group_size - 1} neighbours of a picture, but "
                f"data.order.num_neighbours={num_neighbours}. Raise num_neighbours or lower group_size"
            )
        if not 0 < max_ratio <= 1:
            raise ConfigError(f"data.order.max_ratio={max_ratio}: it must be above 0 and at most 1")
        self.group_size, self.num_neighbours = group_size, num_neighbours
        self.after_epochs, self.every_n_epochs = after_epochs, every_n_epochs
        self.max_ratio, self.skip = max_ratio, skip
        self.neighbours: Positions | None = None
        self.mined_for: int | None = None

    def check(self, captions: Sequence[Sequence[str]], batch_size: int, max_epochs: int) -> None:
        """Refuse groups that no batch holds, more neighbours than pictures, and mining after the end of the run.

        Raises:
            ConfigError: a setting does not fit.
        """
        if self.group_size > batch_size:
            raise ConfigError(
                f"data.order.group_size={self.group_size} is above data.batch_size={batch_size}: a batch holds whole "
                "groups. Lower group_size"
            )
        if len(captions) <= (needed := self.num_neighbours + self.skip):
            raise ConfigError(
                f"data.order.num_neighbours={self.num_neighbours} and data.order.skip={self.skip} need more than "
                f"{needed} training pictures, but there are {len(captions)}. Lower them, and group_size with them"
            )
        if self.after_epochs >= max_epochs:
            raise ConfigError(
                f"data.order.after_epochs={self.after_epochs}: nothing is mined in a run of trainer.max_epochs="
                f"{max_epochs}. Lower after_epochs"
            )

    def due(self, epoch: int) -> bool:
        """Whether pictures are mined before an epoch, counted from 0."""
        since = epoch - self.after_epochs
        return since >= 0 and self.mined_for != epoch and (since % self.every_n_epochs == 0 or self.neighbours is None)

    def use(self, neighbours: Positions, epoch: int) -> None:
        """Form groups of these neighbours from now on; see `neighbours` and `mined_for`."""
        self.neighbours, self.mined_for = neighbours, epoch

    def arrange(self, size: int, batch_size: int, epoch: int, rng: np.random.Generator) -> Positions:
        """The groups in random order. A group at the end of a batch may go on in the next one.

        Before the first mining, the order is that of a run without neighbours.
        """
        seeds: Positions = rng.permutation(size)
        if self.neighbours is None:
            return seeds
        free, groups = np.ones(size, dtype=np.bool_), []
        for seed in seeds:
            if free[seed]:
                free[seed] = False
                near = self.neighbours[seed]
                near = near[near != NONE]
                chosen = rng.permutation(near[free[near]])[: self.group_size - 1]
                free[chosen] = False
                groups.append(np.append(seed, chosen))
        return np.concatenate([groups[number] for number in rng.permutation(len(groups))])
