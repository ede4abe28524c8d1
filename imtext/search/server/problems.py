"""Error responses of the application, and their description in OpenAPI."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from imtext.errors import SearchError, StoreError
from imtext.search.server.batching import BusyError
from imtext.search.server.messages import Problem
from imtext.search.server.refusals import TOO_BUSY, problem

log = logging.getLogger(__name__)


def describe_problems(app: FastAPI, with_token: bool = False) -> None:
    """Handle every error of an application, and describe the format in its OpenAPI document.

    Args:
        app: the application.
        with_token: every request must send a token, which the document says, too.
    """
    app.exception_handlers |= {
        HTTPException: _on_http, RequestValidationError: _on_invalid_request, SearchError: _on_search_error,
        StoreError: _on_store_error, BusyError: _on_busy, ClientDisconnect: _on_disconnect, Exception: _on_bug,
    }  # fmt: skip

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            schema = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
            schema["components"]["schemas"]["Problem"] = Problem.model_json_schema()
            if with_token:
                schema["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
                schema["security"] = [{"token": []}]
            app.openapi_schema = schema
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


@contextmanager
def readable(path: str) -> Iterator[None]:
    """Tell clients that a picture cannot be read, and only the log why: the reasons name paths and addresses.

    Raises:
        HTTPException: 404.
    """
    try:
        yield
    except (OSError, ValueError) as error:
        log.warning("%r cannot be read: %s", path, error)
        raise HTTPException(404, "The file of this picture cannot be read now.") from error


def _response(status: int, detail: str, headers: dict[str, str] | None = None) -> JSONResponse:
    text = detail.encode("utf-8", "replace").decode()  # names and queries can contain lone surrogates
    return JSONResponse(problem(status, text), status, headers, media_type="application/problem+json")


async def _on_http(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    return _response(error.status_code, str(error.detail), dict(error.headers or {}))


async def _on_invalid_request(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    if first["type"] == "json_invalid":
        return _response(400, "The request body is not valid JSON.")
    place = ".".join(str(part) for part in first["loc"][1:]) or "The request body"
    return _response(422, f"{place}: {first['msg']}")


async def _on_search_error(_: Request, error: Exception) -> JSONResponse:
    return _response(422, str(error))


async def _on_store_error(_: Request, error: Exception) -> JSONResponse:
    """The disk or the object store does not answer."""
    log.warning("%s", error)
    return _response(503, "The store of the index cannot be read now. Try again later.", {"retry-after": "5"})


async def _on_busy(_: Request, error: Exception) -> JSONResponse:
    return _response(503, TOO_BUSY, {"retry-after": "1"})


async def _on_disconnect(_: Request, error: Exception) -> Response:
    """The client closed the connection during an upload. It never reads this response, but the metrics count it."""
    return Response(status_code=400)


async def _on_bug(request: Request, error: Exception) -> JSONResponse:
    log.error("%s %s failed", request.method, request.url.path, exc_info=error)
    return _response(500, "Internal error. The server's log has the details.")
