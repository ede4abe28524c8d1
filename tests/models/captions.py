"""What every text tower must keep, as checks; captions of different lengths to test it with."""

from __future__ import annotations

import numpy as np
import onnxruntime
import torch
from torch import Tensor

from imtext.models import DualEncoder, TextEncoder
from imtext.preprocess.tokenizer import Vocabulary
from imtext.training.graphs import trace_text_graph
from tests.models.towers import PatchEncoder

VOCABULARY = Vocabulary("words", size=50, pad_id=0, unk_id=1, max_length=64)
LENGTHS = [3, 9, 5, 4, 12, 7, 3, 8, 6, 10, 1, 5]


def captions(padding: int = 0) -> tuple[Tensor, Tensor]:
    """Ids and mask of twelve captions."""
    generator = torch.Generator().manual_seed(0)
    ids = torch.zeros(len(LENGTHS), max(LENGTHS) + padding, dtype=torch.int64)
    for row, length in enumerate(LENGTHS):
        ids[row, :length] = torch.randint(2, 50, (length,), generator=generator)
    return ids, ids > 0


def check_padding(tower: TextEncoder) -> None:
    """A caption has the same features alone, among others, and with more padding of any kind."""
    tower.eval()
    ids, mask = captions()
    together = tower(ids, mask)
    assert together.shape == (len(LENGTHS), tower.num_features)
    torch.testing.assert_close(tower(*captions(padding=20)), together)
    torch.testing.assert_close(tower(ids.masked_fill(~mask, 7), mask), together)
    for row, length in enumerate(LENGTHS):
        alone = tower(ids[row : row + 1, :length], mask[row : row + 1, :length])
        torch.testing.assert_close(together[row : row + 1], alone)


def check_learning(tower: TextEncoder) -> None:
    """Every parameter has a gradient; frozen, none has, and there is no randomness."""
    tower.train().freeze(0)
    tower(*captions()).square().sum().backward()
    assert [name for name, value in tower.named_parameters() if value.requires_grad and value.grad is None] == []
    tower.freeze(len(tower.blocks))
    assert not any(value.requires_grad for value in tower.parameters())
    torch.testing.assert_close(tower(*captions()), tower(*captions()), rtol=0, atol=0)


def check_graph(tower: TextEncoder) -> None:
    """The ONNX graph agrees for any number of captions of any length."""
    torch.manual_seed(0)
    model = DualEncoder(PatchEncoder(), tower, embed_dim=8).eval()
    session = onnxruntime.InferenceSession(trace_text_graph(model), providers=["CPUExecutionProvider"])
    ids, mask = captions()
    for rows, length in ((slice(None), 12), (slice(10, 11), 1), (slice(4, 6), 30)):
        some, real = (each[rows] for each in captions(padding=20))
        feed = {"input_ids": some[:, :length].numpy(), "attention_mask": real[:, :length].numpy()}
        expected = model.encode_text(ids[rows], mask[rows]).detach().numpy()
        np.testing.assert_allclose(session.run(None, feed)[0], expected, atol=1e-5)
