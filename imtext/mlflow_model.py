"""What MLflow serves of a registered bundle: queries → pictures of an index.

MLflow keeps a copy of this file with the model and runs it wherever the model is loaded ("models from code"). The index
is that of the machine which serves: `IMTEXT_INDEX`, or the default of `imtext search`.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import mlflow
import pandas as pd

from imtext.errors import SearchError
from imtext.search import Index, default_index, load_bundle, parse_query
from imtext.search.bundle import Bundle


class Search(mlflow.pyfunc.PythonModel):  # type: ignore[misc]
    """Answers queries as `imtext serve` does."""

    bundle: Bundle

    def load_context(self, context: Any) -> None:
        """Check the bundle; the index is opened for the first query."""
        self.bundle = load_bundle(context.artifacts["bundle"])

    @cached_property
    def index(self) -> Index:
        """The index of this machine.

        Raises:
            SearchError: there is none, or it was made with another model.
        """
        folder = default_index()
        index = Index(folder)
        if index.bundle.fingerprint != self.bundle.fingerprint:
            raise SearchError(
                f"The index in {folder} was made with another model. Make it with this one: imtext index --rebuild "
                "--bundle models:/<name>@champion"
            )
        return index

    def predict(self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """The best pictures of each query.

        Args:
            context: not used.
            model_input: column `query`: words, or arithmetic over them as in `imtext search`.
            params: `top_k`, the maximum number of pictures of a query.

        Returns:
            A row for each picture, best first: `query`, `path`, `id`, `score`, and `relevance`, which may be missing.
        """
        queries = model_input["query"].tolist()
        terms = [parse_query(query, pictures=False) for query in queries]  # never files of this machine
        reranked = None if self.index.has_grids else 0
        found = self.index.search_batch(terms, (params or {}).get("top_k", 10), None, reranked)
        rows = [
            (query, result.path, result.id, result.score, result.relevance)
            for query, results in zip(queries, found, strict=True)
            for result in results
        ]
        table = pd.DataFrame(rows, columns=["query", "path", "id", "score", "relevance"])
        return table.astype({"score": float, "relevance": float})


mlflow.models.set_model(Search())
