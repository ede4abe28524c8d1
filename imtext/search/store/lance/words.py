"""Words of pictures, found by Lance's full-text index and ranked by its BM25.

The index holds the words of all columns of a picture as `plain` writes them; in which column a word stands is looked up
in the rows that it finds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from imtext.search.store.full_text import COLUMNS, COMMON
from imtext.search.store.lance.pictures import TEXTS, plain
from imtext.search.store.lance.tables import FEW, is_in, select
from imtext.search.store.records import WordMatch


def index_words(table: Any) -> None:
    """Make the full-text index. Later rows are searched without it until it is updated."""
    from lancedb.index import FTS

    # Words come as they are compared: the index changes nothing of them.
    options = {"lower_case": False, "stem": False, "remove_stop_words": False, "ascii_folding": False}
    table.create_index("words", config=FTS(base_tokenizer="whitespace", max_token_length=None, **options))


def match(table: Any, words: Sequence[str], where: str) -> list[WordMatch]:
    """Pictures that have at least one of the words, best first: with most of the words, then by BM25 and column.

    Args:
        table: the pictures.
        words: one of several parts is a phrase.
        where: the condition of the pictures to choose from; empty: all.
    """
    counts: Counter[int] = Counter()
    ranks: Counter[int] = Counter()
    places: dict[int, set[str]] = {}
    asked = 0
    for phrase in map(plain, words):
        rows = _having(table, phrase) if phrase else []
        if len(rows) > COMMON:
            continue
        asked += 1
        for row in rows:
            # A phrase must stand in one column, part after part.
            where_it_is = [column for column in TEXTS if f" {phrase} " in f" {plain(row[column] or '')} "]
            if where_it_is:
                counts[row["id"]] += 1
                ranks[row["id"]] += row["_score"] * max(COLUMNS[column][1] for column in where_it_is)
                places.setdefault(row["id"], set()).update(where_it_is)
    passing = _passing(table, list(counts), where)
    order = sorted(passing, key=lambda id: (-counts[id], -ranks[id], id))
    called = {column: name for column, (name, _) in COLUMNS.items()}
    return [
        WordMatch(id, counts[id] / asked, tuple(called[column] for column in TEXTS if column in places[id]))
        for id in order
    ]


def _having(table: Any, phrase: str) -> list[dict[str, Any]]:
    """The rows with all parts of a phrase, somewhere; one more than `COMMON` at most."""
    from lancedb.query import FullTextOperator, MatchQuery

    asked = MatchQuery(phrase, "words", operator=FullTextOperator.AND)
    query = table.search(asked, query_type="fts").select(["id", *TEXTS, "_score"]).limit(COMMON + 1)
    found: list[dict[str, Any]] = query.to_arrow().to_pylist()
    return found


def _passing(table: Any, ids: list[int], where: str) -> list[int]:
    """The ids that a condition keeps."""
    if not where:
        return ids
    kept: list[int] = []
    for start in range(0, len(ids), FEW):
        some = f"{is_in('id', ids[start : start + FEW])} AND {where}"
        kept += select(table, ["id"], some)["id"].to_pylist()
    return kept
