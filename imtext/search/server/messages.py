"""What is asked and answered over HTTP, and how OpenAPI describes it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from imtext.search.index.index import MAX_TOP_K
from imtext.search.query import MAX_LENGTH
from imtext.search.server.guard import problem

# ---- what is said


class Problem(BaseModel):
    """An error (RFC 9457)."""

    model_config = ConfigDict(json_schema_extra={"examples": [problem(422, "The query is empty.")]})
    status: int
    title: str
    detail: str = Field(description="What is wrong, and what to do about it.")


class Result(BaseModel):
    """One picture."""

    id: str = Field(description="For /images, /thumbnails and like=…; the same as long as the picture is.")
    name: str = Field(description="Its file, below the folder that was indexed.")
    score: float | None = Field(description="Similarity, -1 … 1.")
    relevance: float | None = Field(
        description="How likely it is what the words describe, 0 … 1; null for queries with a picture in them."
    )
    copies: int = Field(description="Other files with the same content.")


class Results(BaseModel):
    """Pictures, best first."""

    results: list[Result]
    total: int = Field(description="Pictures in the index.")
    unknown_words: list[str] = Field(description="Words of the query that the model has never seen.")
    milliseconds: float = Field(description="From the request's arrival to the answer.")


class Ranked(BaseModel):
    """One text or picture, and how well it fits."""

    text: str | None = None
    id: str | None = None
    score: float
    relevance: float | None
    position: int = Field(description="Its place in what was sent.")


class Ranking(BaseModel):
    """Best first."""

    results: list[Ranked]


class EmbeddedTexts(BaseModel):
    """One vector of unit length for each text, in order."""

    embeddings: list[list[float]]
    fingerprint: str = Field(description="Of the model; vectors of different models cannot be compared.")


class EmbeddedImage(BaseModel):
    """A vector of unit length."""

    embedding: list[float]
    fingerprint: str


class Info(BaseModel):
    """What is served."""

    pictures: int
    model: str
    embed_dim: int
    fingerprint: str
    min_relevance: float | None = Field(description="Below this nothing deserves to be shown, says validation.")
    version: str = Field(description="Of imtext.")


class State(BaseModel):
    """How the server is."""

    status: Literal["ok"]


# ---- what is asked

TopK = Annotated[int, Field(ge=1, le=MAX_TOP_K, description="At most this many.", examples=[10])]
Relevance = Annotated[
    float, Field(ge=0, le=1, allow_inf_nan=False, description="Leave out what is less likely.", examples=[0.3])
]
Words = Annotated[
    str,
    Field(
        min_length=1,
        max_length=MAX_LENGTH,
        description="Words, or arithmetic over them: `dog + beach - person`, `2:dog + ball`.",
        examples=["a dog runs on the beach"],
    ),
]
Id = Annotated[str, Field(pattern="^[0-9a-f]{32}$", description="Of a picture, as in results.")]


class SearchRequest(BaseModel):
    """A search by words."""

    model_config = ConfigDict(extra="forbid")
    query: Words
    top_k: TopK = 10
    min_relevance: Relevance = 0.0


class RankPictures(BaseModel):
    """Order pictures of the index by words."""

    model_config = ConfigDict(extra="forbid")
    query: Words
    ids: Annotated[list[Id], Field(min_length=1, max_length=1_000)]


class RankTexts(BaseModel):
    """Order texts by a picture of the index."""

    model_config = ConfigDict(extra="forbid")
    id: Id
    texts: Annotated[list[Words], Field(min_length=1, max_length=256)]


class TextsRequest(BaseModel):
    """Texts to be embedded."""

    model_config = ConfigDict(extra="forbid")
    texts: Annotated[list[Words], Field(min_length=1, max_length=256)]


ERRORS = {
    400: "The body is no JSON.",
    401: "A token is missing.",
    408: "The request took too long to arrive.",
    413: "The request is too large.",
    421: "Asked for by another server's name.",
    422: "The request makes no sense; the detail says why.",
    503: "Too busy; Retry-After says when to try again.",
    504: "The answer took too long.",
}
MISSING = {404: "There is no such picture."}
BINARY = {"schema": {"type": "string", "format": "binary"}}
IMAGE_BODY = {
    "requestBody": {
        "required": True,
        "description": "The picture's bytes: JPEG, PNG, WebP, GIF, BMP or TIFF.",
        "content": {"application/octet-stream": BINARY},
    }
}


def responses(*more: dict[int, str]) -> dict[int | str, dict[str, Any]]:
    """The errors of an operation for OpenAPI."""
    schema = {"$ref": "#/components/schemas/Problem"}
    described = {status: text for part in (ERRORS, *more) for status, text in part.items()}
    return {
        status: {"description": text, "content": {"application/problem+json": {"schema": schema}}}
        for status, text in sorted(described.items())
    }
