"""Requests and responses of the API, with their descriptions in OpenAPI."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from imtext.search.bundle import MAX_CANDIDATES
from imtext.search.index import MAX_TOP_K
from imtext.search.index.timeline import Unit
from imtext.search.query import MAX_LENGTH
from imtext.search.results import DateFrom, FoundBy
from imtext.search.server.filtering import FilterFields
from imtext.search.server.refusals import problem

# ---- responses


class Problem(BaseModel):
    """An error (RFC 9457)."""

    model_config = ConfigDict(json_schema_extra={"examples": [problem(422, "The query is empty.")]})
    status: int
    title: str
    detail: str = Field(description="What is wrong and how to fix it.")


class Result(BaseModel):
    """One picture."""

    id: str = Field(description="For /images, /thumbnails and like=…; a hash of the content that never changes.")
    name: str = Field(description="File, relative to the folder that was indexed.")
    score: float | None = Field(description="Similarity, or the re-ranker's score, -1 … 1.")
    relevance: float | None = Field(
        description="Probability that the words describe it, 0 … 1; null for queries with a picture in them, and for "
        "pictures that were found by words in names and texts only."
    )
    copies: int = Field(description="Other files with the same content.")
    date: str = Field(description="Local time when it was taken, ISO 8601, with the offset from UTC if it is known.")
    date_from: DateFrom | None = Field(description="What says so: the camera, or the file, by its last change.")
    place: tuple[float, float] | None = Field(description="Latitude and longitude where it was taken, if known.")
    near_duplicates: int = Field(description="Near duplicates left out for it; see /pictures/{id}/duplicates.")
    found_by: list[FoundBy] = Field(
        description="Why it was found: `picture`, if the model finds it, and what words of the query stand in."
    )


class Duplicate(BaseModel):
    """One picture of a group of near duplicates."""

    id: str
    name: str = Field(description="File, relative to the folder that was indexed.")
    copies: int = Field(description="Other files with the same content.")
    bytes: int = Field(description="Size of one file.")
    width: int = Field(description="Pixels, as displayed; 0: unknown.")
    height: int
    date: str = Field(description="Local time when it was taken, or when its file changed; ISO 8601.")


class DuplicatesOf(BaseModel):
    """The near duplicates of one picture, without itself, the best first."""

    pictures: list[Duplicate]


class Duplicates(BaseModel):
    """Groups of near duplicates and of equal files, the best picture of each first."""

    groups: list[list[Duplicate]]
    total: int = Field(description="Groups in the index.")


class Unread(BaseModel):
    """Words of a query that do not count."""

    unknown_words: list[str] = Field(
        default=[], description="Words of the query that are not in the model's vocabulary."
    )
    cut_words: list[str] = Field(
        default=[], description="Words at the end of a long query that the model does not read."
    )


class Results(Unread):
    """Pictures, best first."""

    results: list[Result]
    total: int = Field(description="Pictures in the index.")
    place: str = Field(default="", description="What the name of a place in `near` was taken for.")
    milliseconds: float = Field(description="From the arrival of the request to the response.")


class Group(BaseModel):
    """A day, a month or a year."""

    date: str = Field(description="2024-05-12, 2024-05 or 2024.")
    pictures: int = Field(description="How many it has.")


class TimelineCounts(BaseModel):
    """How many pictures there are of each time, newest first."""

    by: Unit = Field(description="`day` if they are of a few days; `year` if they are few.")
    groups: list[Group]
    total: int = Field(description="Pictures that pass the filters.")
    version: str = Field(description="Of the index; another one says that counts and offsets may have changed.")


class PicturePage(BaseModel):
    """A page of pictures, newest first."""

    results: list[Result]
    next: str | None = Field(description="`cursor` of the next page; null: there is none.")
    version: str = Field(description="As in /timeline.")


class Ranked(BaseModel):
    """One text or picture and how well it matches."""

    text: str | None = None
    id: str | None = None
    score: float
    relevance: float | None
    position: int = Field(description="Position in the request, from 0.")


class Ranking(Unread):
    """Ranked texts or pictures, best first."""

    results: list[Ranked]


class EmbeddedTexts(BaseModel):
    """One vector of unit length for each text, in order."""

    embeddings: list[list[float]]
    fingerprint: str = Field(description="Identifies the model; vectors of different models cannot be compared.")


class EmbeddedImage(BaseModel):
    """A vector of unit length."""

    embedding: list[float]
    fingerprint: str


class Info(BaseModel):
    """The index and its model."""

    pictures: int
    model: str
    embed_dim: int
    fingerprint: str
    min_relevance: float | None = Field(
        description="Searches leave out results below this by default; null: the model knows no relevance."
    )
    version: str = Field(description="Version of imtext.")
    rerank_top_k: int | None = Field(
        description="Candidates that a search for words scores again by default; null: the model has no re-ranker."
    )


class UpdateState(BaseModel):
    """The update of the index that runs, or the last one, and what it left out."""

    version: str = Field(description="As in /timeline.")
    pictures: int = Field(description="Pictures in the index.")
    running: bool
    done: int = Field(description="New and changed files that were read.")
    total: int = Field(description="Files to read; 0: not known yet.")
    types: dict[str, int] = Field(description="Types of pictures and videos that cannot be read.")
    skipped: dict[str, int] = Field(description="Reasons why files and folders were not looked at.")
    refused: dict[str, int] = Field(description="Reasons why pictures were refused.")


class State(BaseModel):
    """State of the server."""

    status: Literal["ok"]


# ---- requests

TopK = Annotated[int, Field(ge=1, le=MAX_TOP_K, description="Maximum number of results.", examples=[10])]
MinRelevance = Annotated[
    float | None,
    Field(
        ge=0,
        le=1,
        allow_inf_nan=False,
        description="Leave out results below this relevance; 0: none. Default: the model's own threshold, see /info. "
        "Pictures similar to a picture have no relevance and all stay.",
        examples=[0.3],
    ),
]
RerankTopK = Annotated[
    int | None,
    Field(
        ge=0,
        le=MAX_CANDIDATES,
        description="Candidates that the model's re-ranker scores again; 0: none. Default: see /info. Only for a query "
        "of one text; query arithmetic and searches by picture ignore it.",
        examples=[50],
    ),
]
Fold = Annotated[
    bool, Field(description="Leave out near duplicates of better results; `near_duplicates` says how many.")
]
InWords = Annotated[
    bool,
    Field(
        description="Also find pictures by words in names of files and folders, titles, captions, keywords and texts."
    ),
]
Words = Annotated[
    str,
    Field(
        min_length=1,
        max_length=MAX_LENGTH,
        description="Words, or query arithmetic: `dog + beach - person`, `2:dog + ball`.",
        examples=["a dog runs on the beach"],
    ),
]
Id = Annotated[str, Field(pattern="^[0-9a-f]{32}$", description="Id of a picture, as in results.")]


class SearchRequest(FilterFields):
    """A search by words, by filters, or by both."""

    model_config = ConfigDict(extra="forbid")
    query: Words | None = None
    top_k: TopK = 10
    min_relevance: MinRelevance = None
    rerank_top_k: RerankTopK = None
    fold: Fold = True
    words: InWords = True


class RankPictures(BaseModel):
    """Order pictures of the index by words."""

    model_config = ConfigDict(extra="forbid")
    query: Words
    ids: Annotated[list[Id], Field(min_length=1, max_length=1_000)]
    rerank_top_k: RerankTopK = None


class RankTexts(BaseModel):
    """Order texts by a picture of the index."""

    model_config = ConfigDict(extra="forbid")
    id: Id
    texts: Annotated[list[Words], Field(min_length=1, max_length=256)]


class TextsRequest(BaseModel):
    """Texts to embed."""

    model_config = ConfigDict(extra="forbid")
    texts: Annotated[list[Words], Field(min_length=1, max_length=256)]


ERRORS = {
    400: "The request body is not valid JSON.",
    401: "The token is missing or wrong.",
    408: "The request body took too long to arrive.",
    413: "The request is too large.",
    421: "The server does not serve this host name.",
    422: "The request is not valid; the detail says why.",
    503: "Too many requests; Retry-After says when to try again.",
    504: "The response took too long.",
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
    """The error responses of an operation, for OpenAPI."""
    schema = {"$ref": "#/components/schemas/Problem"}
    described = {status: text for part in (ERRORS, *more) for status, text in part.items()}
    return {
        status: {"description": text, "content": {"application/problem+json": {"schema": schema}}}
        for status, text in sorted(described.items())
    }
