"""The contract of an order."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from imtext.preprocess.tokenizer import Tokenizer

Positions = npt.NDArray[np.int64]


class Order(ABC):
    """Arranges the training pictures of an epoch; the sampler cuts them into batches.

    An order does not change the number of batches of an epoch, so that runs with different orders are equally long and
    schedules stay right. It depends on nothing but the seed, the epoch, and what is saved in checkpoints.

    Attributes:
        known_early: the order of an epoch is known before hooks of that epoch have run, so that other processes may
            begin to fetch its batches.
    """

    known_early: bool = True

    def prepare(self, captions: Sequence[Sequence[str]], tokenizer: Tokenizer) -> None:  # noqa: B027 (optional)
        """Called once, before the first epoch.

        Args:
            captions: of each training picture, by position.
            tokenizer: the tokenizer of the run.
        """

    def check(  # noqa: B027 (optional)
        self, captions: Sequence[Sequence[str]], batch_size: int, max_epochs: int
    ) -> None:
        """Refuse settings that do not fit the run, before it starts.

        Args:
            captions: of each training picture, by position.
            batch_size: pictures per batch.
            max_epochs: epochs of the run.

        Raises:
            ConfigError: a setting does not fit; the message names it, the limit and the fix.
        """

    @abstractmethod
    def arrange(self, size: int, batch_size: int, epoch: int, rng: np.random.Generator) -> Positions:
        """The order of an epoch.

        Args:
            size: number of training pictures.
            batch_size: pictures of a step, over all processes; `size` if there are fewer.
            epoch: counted from 0.
            rng: seeded by the run's seed and the epoch.

        Returns:
            ``[size]`` positions of training pictures. Each consecutive `batch_size` of them, counted from the
            beginning, must be different pictures.
        """
