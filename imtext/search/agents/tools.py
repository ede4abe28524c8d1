"""The tools: find, list and show pictures, and describe the index. Pictures have opaque ids; no tool takes a path."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, ParamSpec, TypeVar

from mcp.server.mcpserver import Context, Image, MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import CallToolResult, InputRequiredResult, ToolAnnotations
from pydantic import BaseModel, Field, ValidationError
from starlette.exceptions import HTTPException

import imtext
from imtext.errors import ImtextError
from imtext.search.index import SearchOptions
from imtext.search.query import parse_query
from imtext.search.server.batching import BusyError
from imtext.search.server.filtering import FilterFields
from imtext.search.server.messages import DuplicatesOf, Id, MinRelevance, Results, Words
from imtext.search.server.refusals import TOO_BUSY
from imtext.search.server.routes.duplicates import duplicates_of
from imtext.search.server.service import Service, TextSearch

INSTRUCTIONS = (
    "Finds pictures of one collection by words, or pictures similar to another, also only those of some time, place, "
    "camera or folder. Results have an id, a file name, a date and, for words, a relevance: the probability that the "
    "words describe the picture; `found_by` says whether the picture itself was found or words in its name, title, "
    "caption or keywords. `thumbnail` shows the picture of an id. An empty list means that no picture matches well; "
    "min_relevance=0 returns the nearest anyway."
)
READS = ToolAnnotations(read_only_hint=True, open_world_hint=False)
MAX_RESULTS, MAX_PIXELS = 50, 1024  # an agent reads all of an answer

TopK = Annotated[int, Field(ge=1, le=MAX_RESULTS, description="Maximum number of results.")]
Pixels = Annotated[int, Field(ge=32, le=MAX_PIXELS, description="Pixels of the longer side.")]

ALL = FilterFields()

Arguments = ParamSpec("Arguments")
Output = TypeVar("Output")


class Description(BaseModel):
    """The collection and its model."""

    pictures: int
    folders: list[str] = Field(description="Names of the indexed folders.")
    oldest: str | None = Field(description="Date of the oldest file, by its last change.")
    newest: str | None = Field(description="Date of the newest file, by its last change.")
    model: str
    min_relevance: float | None = Field(description="A search leaves out pictures below this relevance by default.")


def create_tools(service: Service) -> MCPServer[Any]:
    """The tools over one index, for any transport of the protocol."""
    server = _Tools("imtext", version=imtext.__version__, instructions=INSTRUCTIONS, log_level="WARNING")

    @server.tool(annotations=READS)
    @_with_clear_errors
    async def search(
        query: Words | None = None,
        filters: FilterFields = ALL,
        top_k: TopK = 10,
        min_relevance: MinRelevance = None,
    ) -> Results:
        """Find pictures by words, best first, also `dog + beach - person`; without words, the newest pictures."""
        started = time.perf_counter()
        chosen = await filters.filters()
        options = SearchOptions(top_k, min_relevance, service.reranked(None), chosen, filters.sort)
        if query is None:
            return service.results(await service.run(service.newest, options), started, place=chosen.place)
        found = await service.searches.submit(TextSearch(parse_query(query, pictures=False), options))
        return service.results(found.results, started, found.query, chosen.place)

    @server.tool(annotations=READS)
    @_with_clear_errors
    async def similar(id: Id, filters: FilterFields = ALL, top_k: TopK = 10) -> Results:
        """Find pictures similar to the picture with this id, which comes first. They have no relevance."""
        started = time.perf_counter()
        options = SearchOptions(top_k, filters=await filters.filters(), sort=filters.sort)
        found = await service.run(service.search_like, id, options)
        return service.results(found, started, place=options.filters.place)

    @server.tool(annotations=READS)
    @_with_clear_errors
    async def duplicates(id: Id) -> DuplicatesOf:
        """List the near duplicates of the picture with this id, which searches leave out; the best one first."""
        return await service.run(duplicates_of, service, id)

    @server.tool(annotations=READS)
    @_with_clear_errors
    async def describe_index() -> Description:
        """Describe the collection: number of pictures, folders, dates and the model."""
        return await service.run(_describe, service)

    @server.tool(annotations=READS, structured_output=False)
    @_with_clear_errors
    async def thumbnail(id: Id, size: Pixels = 512) -> Image:
        """Show the picture with this id as a small JPEG."""
        return Image(data=await service.run(service.thumbnail, id, size), format="jpeg")

    return server


class _Tools(MCPServer[Any]):
    """A server whose errors are one sentence each; those of the library are long and name its classes."""

    async def call_tool(
        self, name: str, arguments: dict[str, Any], context: Context[Any, Any] | None = None
    ) -> CallToolResult | InputRequiredResult:
        try:
            return await super().call_tool(name, arguments, context)
        except ToolError as error:
            if isinstance(error.__cause__, ValidationError):
                first = error.__cause__.errors()[0]
                raise ToolError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None
            if type(error.__cause__) is ToolError:
                raise error.__cause__ from None
            raise


def _with_clear_errors(
    tool: Callable[Arguments, Awaitable[Output]],
) -> Callable[Arguments, Awaitable[Output]]:
    """Make errors that the agent can fix errors of the tool; all others stay in the log."""

    @wraps(tool)
    async def run(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Output:
        try:
            return await tool(*args, **kwargs)
        except HTTPException as error:
            raise ToolError(error.detail) from error
        except BusyError as error:
            raise ToolError(TOO_BUSY) from error
        except ImtextError as error:
            raise ToolError(str(error).encode("utf-8", "replace").decode()) from error

    return run


def _describe(service: Service) -> Description:
    index = service.index
    changed = [file.mtime_ns for file in index.store.files() if not file.reason]
    calibration = (index.bundle.reranker or index.bundle).calibration
    return Description(
        pictures=service.total(),
        folders=[Path(source).name.encode("utf-8", "replace").decode() for source in index.store.sources()],
        oldest=_date(min(changed)) if changed else None,
        newest=_date(max(changed)) if changed else None,
        model=index.bundle.manifest["name"],
        min_relevance=calibration.min_relevance if calibration else None,
    )


def _date(nanoseconds: int) -> str:
    return datetime.fromtimestamp(nanoseconds / 1e9, UTC).date().isoformat()
