"""Re-ranked order: within the best pictures of the dual encoder, and never better than it is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from torch import Tensor

from imtext.data import RetrievalDataModule
from imtext.evaluation import reranking
from imtext.evaluation.metrics import RetrievalMetrics
from imtext.evaluation.ranks import retrieval_ranks
from imtext.evaluation.reranking import Gathered, SecondLook, rerank_metrics, shortlists
from imtext.models.cross_attention import CrossAttention
from imtext.models.reranker import Reranker
from imtext.training.checkpoints import TrainedModel
from tests.evaluation.galleries import hand_written, random_gallery

Untrained = tuple[TrainedModel, RetrievalDataModule]


def in_order(seed: int) -> Gathered:
    """A random gallery in ascending order of the ids, as `RetrievalMetrics` returns it."""
    metrics = RetrievalMetrics()
    metrics.update(*random_gallery(seed))
    return metrics.gathered()


def oracle(gallery: Gathered, scores: Tensor, top_k: int) -> list[int]:
    """Sort the best pictures by the new scores, and the others as before; wrong pictures come first in ties."""
    images, texts, image_id, owner = gallery
    similarity = texts @ images.T
    ranks = []
    for row in range(len(texts)):
        wrong_first = [bool(each == owner[row]) for each in image_id]
        order = sorted(range(len(images)), key=lambda i: (-float(similarity[row, i]), wrong_first[i]))
        head = sorted(order[:top_k], key=lambda i: (-float(scores[row, i]), wrong_first[i]))
        ranks.append(1 + [wrong_first[i] for i in [*head, *order[top_k:]]].index(True))
    return ranks


@pytest.mark.parametrize("top_k", [1, 5, 40, 100])
@pytest.mark.parametrize("seed", range(3))
def test_ranks_agree_with_sorting(seed: int, top_k: int) -> None:
    gallery = in_order(seed)
    lists = shortlists(*gallery, top_k)
    new = torch.rand(len(gallery[1]), len(gallery[0]), generator=torch.Generator().manual_seed(seed))
    found = lists.reranked(new.gather(1, lists.candidates))
    assert found.tolist() == oracle(gallery, new, top_k)
    assert lists.reranked(lists.similarity).tolist() == retrieval_ranks(*gallery)["t2i"].tolist()


@pytest.mark.parametrize("block", [1, 100])
def test_blocks_of_any_size_agree(block: int) -> None:
    gallery = in_order(0)
    some, whole = shortlists(*gallery, 7, block=block), shortlists(*gallery, 7)
    assert some.candidates.equal(whole.candidates)
    torch.testing.assert_close(some.similarity, whole.similarity)


def test_what_the_first_step_misses_stays_where_it_was() -> None:
    lists = shortlists(*hand_written(), 2)
    assert lists.ranks.tolist() == [1, 4, 1, 4, 4, 4, 1, 4]
    best = torch.where(lists.candidates == lists.correct[:, None], 1.0, 0.0)
    assert lists.reranked(best).tolist() == [1, 4, 1, 4, 4, 4, 1, 4]
    assert lists.reranked(-best).tolist() == [2, 4, 2, 4, 4, 4, 2, 4]


@pytest.mark.parametrize("value", [0.5, torch.nan])
def test_equal_or_undefined_scores_are_no_success(value: float) -> None:
    gallery = in_order(0)
    lists = shortlists(*gallery, 8)
    found = lists.reranked(torch.full_like(lists.similarity, value))
    inside = lists.ranks <= 8
    assert found[inside].eq(8).all()
    assert found[~inside].equal(lists.ranks[~inside])


def test_a_picture_among_the_best_by_the_luck_of_a_tie_is_not_found() -> None:
    images, texts = torch.ones(10, 4), torch.ones(20, 4)
    lists = shortlists(images, texts, torch.arange(10), torch.arange(20) // 2, 5)
    sure = torch.where(lists.candidates == lists.correct[:, None], 1.0, 0.0)
    assert lists.reranked(sure).eq(10).all()


class Oracle(Reranker):
    """Judges by a number that is drawn into the picture: its own caption has the same number."""

    grid_dim = 1

    def project(self, tokens: Tensor) -> Tensor:
        return tokens

    def judge(self, grid: Tensor, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        return -(grid[:, :, 0, 0] - input_ids[:, :1]).abs()


class Numbers:
    """Stands for image tower, source of pictures and tokenizer: picture n and caption `n` are the number n."""

    first_block = 1

    def batch(self, rows: Sequence[int], choices: Sequence[np.random.Generator]) -> Tensor:
        return torch.tensor(rows).float()[:, None, None]

    def tokens(self, features: Tensor, first_block: int) -> Tensor:
        assert first_block == 1
        return features

    def __call__(self, texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        ids = np.array([[int(text)] for text in texts])
        return ids, np.ones_like(ids, dtype=bool)


def test_a_re_ranker_that_knows_everything_finds_what_is_on_its_list(monkeypatch: pytest.MonkeyPatch) -> None:
    gallery = in_order(1)
    captions = {int(row): [str(int(row))] * int((gallery[3] == row).sum()) for row in gallery[2]}
    numbers = Numbers()
    look = SecondLook(gallery, 5, numbers, numbers, captions, numbers)  # type: ignore[arg-type]
    ranks = look.ranks(Oracle())
    assert ranks.equal(torch.where(look.lists.ranks <= 5, 1, look.lists.ranks))
    metrics = rerank_metrics(look, ranks)
    assert metrics["rerank_t2i_r@5"] == metrics["rerank_t2i_r@1"] == (look.lists.ranks <= 5).float().mean().item()
    assert metrics["rerank_t2i_r@1_low"] <= metrics["rerank_t2i_r@1"] <= metrics["rerank_t2i_r@1_high"]
    assert metrics["rerank_top_k"] == 5
    monkeypatch.setattr(reranking, "PAIRS", 3)
    monkeypatch.setattr(reranking, "PICTURES", 2)
    assert look.ranks(Oracle()).equal(ranks)


def test_a_real_re_ranker_scores_the_same_in_blocks_of_any_size(
    untrained: Untrained, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained, data = untrained
    encoder = trained.model.image_encoder
    torch.manual_seed(0)
    reranker = CrossAttention(
        8, 12, 1.0, num_token_features=encoder.num_token_features, vocabulary=trained.tokenizer.vocabulary
    )
    rows = sorted(data.rows["val"])
    metrics = RetrievalMetrics()
    texts = trained.encode_texts([text for row in rows for text in data.captions[row]])
    images = trained.encode_images([data.picture(row) for row in rows])
    owner = torch.tensor([row for row in rows for _ in data.captions[row]])
    metrics.update(images, texts, torch.tensor(rows), owner)
    look = SecondLook(metrics.gathered(), 6, encoder, data.pictures(), data.captions, trained.tokenizer)
    scores = look.judgement(reranker.train())
    assert reranker.training  # its dropout was off all the same:
    assert look.judgement(reranker).equal(scores)
    assert not scores.isclose(look.lists.similarity).any()
    monkeypatch.setattr(reranking, "PAIRS", 10)
    monkeypatch.setattr(reranking, "PICTURES", 3)
    torch.testing.assert_close(look.judgement(reranker), scores, atol=1e-4, rtol=1e-4)
    # One pair alone, without half precision, in the place of the list where it belongs.
    with torch.no_grad():
        reranker.eval()
        row, place = 3, 2
        picture = data.pictures().batch([rows[int(look.lists.candidates[row, place])]], [])
        ids, mask = map(torch.from_numpy, trained.tokenizer([look.captions[row]]))
        grid = reranker.project(encoder.tokens(picture))[None]
        alone = reranker.judge(grid, ids, mask)
    assert alone.item() == pytest.approx(scores[row, place].item(), abs=5e-3)
