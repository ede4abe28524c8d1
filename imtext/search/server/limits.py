"""Limits of the server: size, time and queues."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """The maximum that one request, and all requests together, may use.

    Attributes:
        json_bytes: size of a body with text.
        image_bytes: size of an uploaded picture.
        image_pixels: number of pixels of an uploaded picture, read from its header.
        seconds: time from the end of a request's headers to the last byte of its response.
        download_seconds: the same for downloads of pictures, which take long on a slow connection.
        batch: number of text queries that are embedded and searched together.
        waiting: number of text queries that may wait for the next batch.
        rerank_top_k: number of candidates that one request may have scored again.
        workers: number of requests that read, decode or rank pictures at the same time.
        workers_waiting: number of requests that may wait for one of these workers.
        zip_pictures: number of pictures in one ZIP.
        zip_bytes: size of their files together; below 2 GiB, so that every program can open it.
        zip_seconds: as `download_seconds`, for a ZIP.
        body_bytes: size of all request bodies together, by their Content-Length; they are held in memory.
    """

    json_bytes: int = 1_000_000
    image_bytes: int = 20_000_000
    image_pixels: int = 50_000_000
    seconds: float = 10.0
    download_seconds: float = 120.0
    batch: int = 8
    waiting: int = 8
    rerank_top_k: int = 200
    workers: int = 2
    workers_waiting: int = 256
    zip_pictures: int = 1_000
    zip_bytes: int = 2_000_000_000
    zip_seconds: float = 1_800.0
    body_bytes: int = 200_000_000
