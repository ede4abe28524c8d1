"""Files of other machines, by a file system of fsspec in memory."""

from __future__ import annotations

import errno
import io
import os
import sys
import threading
from datetime import UTC, datetime
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from uuid import uuid4

import fsspec
import pytest
from PIL import Image

from imtext.errors import MissingExtraError
from imtext.preprocess import open_image
from imtext.search.files import is_remote, list_files, open_file, picture_of, read_bytes, remote, state_of
from imtext.search.store import File


@pytest.fixture
def bucket() -> str:
    """The URL of an empty folder."""
    return f"memory://{uuid4().hex}/photos"


def test_files(bucket: str, tmp_path: Path) -> None:
    content = io.BytesIO()
    Image.new("RGB", (40, 30)).save(content, "PNG")
    for name in ("b.png", "deep/a.png"):
        fsspec.filesystem("memory").pipe_file(f"{bucket}/{name}", content.getvalue())
    states = list_files(f"{bucket}/")
    assert list(states) == [f"{bucket}/b.png", f"{bucket}/deep/a.png"]
    path, state = next(iter(states.items()))
    assert is_remote(path)
    assert state.st_size == len(content.getvalue())
    assert File.found(path, state) == File.found(path, state_of(path))
    assert read_bytes(path) == open_file(path).read() == content.getvalue()
    assert open_image(picture_of(path)).size == (40, 30)
    assert list(list_files(path)) == [path]
    here = tmp_path / "a.png"
    here.write_bytes(content.getvalue())
    assert not is_remote(str(here))
    assert read_bytes(str(here)) == content.getvalue()
    assert picture_of(str(here)) == here
    assert state_of(str(here)) == here.stat()


def test_what_cannot_be_read_is_an_os_error(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for read in (list_files, state_of, read_bytes):
        with pytest.raises(FileNotFoundError):
            read(bucket)
    with pytest.raises(OSError, match="nonsense"):
        list_files("nonsense://bucket/photos")

    def no_credentials(url: str) -> None:
        raise RuntimeError("Unable to locate credentials")

    monkeypatch.setattr(fsspec.core, "url_to_fs", no_credentials)
    with pytest.raises(OSError, match="Unable to locate credentials") as caught:
        list_files(bucket)
    assert caught.value.errno == errno.EIO


def test_without_its_packages(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(url: str) -> None:
        raise ImportError("Install s3fs to access S3")

    with monkeypatch.context() as patch:
        patch.setattr(fsspec.core, "url_to_fs", missing)
        with pytest.raises(OSError, match=r'reads memory:// .*pip install "imtext\[remote\]"'):
            list_files(bucket)
    monkeypatch.setitem(sys.modules, "fsspec", None)
    with pytest.raises(MissingExtraError, match=r'pip install "imtext\[remote\]"'):
        list_files(bucket)


class Quiet(SimpleHTTPRequestHandler):
    """Serves a folder, with a page of links for it."""

    def log_message(self, *_: object) -> None:
        pass


def test_a_web_server(tmp_path: Path) -> None:
    """Its list of files has names only; size and time are asked for, so that they can be compared later."""
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_bytes(name.encode() * 10)
    (tmp_path / "dead.png").symlink_to("nowhere")
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path))) as server:
        threading.Thread(target=server.serve_forever).start()
        try:
            url = f"http://127.0.0.1:{server.server_port}"
            states = list_files(url)
            assert list(states) == [f"{url}/{name}.png" for name in ("a", "b", "dead")]
            path = f"{url}/a.png"
            assert states[path].st_size == 50
            before = File.found(path, states[path])
            assert File.found(path, state_of(path)) == before
            assert read_bytes(path) == b"a.png" * 10
            assert File.found(path, list_files(path)[path]) == before
            os.utime(tmp_path / "a.png", (1, 1))
            assert not File.found(path, state_of(path)).unchanged_since(before)
        finally:
            server.shutdown()


def test_facts_of_file_systems() -> None:
    moment = datetime(2026, 5, 1, tzinfo=UTC)
    s3 = remote._state({"type": "file", "size": 5, "LastModified": moment, "ETag": '"abc"'})
    other = remote._state({"type": "file", "size": 5, "LastModified": moment, "ETag": '"abd"'})
    google = remote._state({"type": "file", "size": 5, "updated": "2026-05-01T00:00:00Z", "md5Hash": "x"})
    web = remote._state({"type": "file", "size": None})
    assert s3.st_mtime_ns == google.st_mtime_ns == int(moment.timestamp() * 1e9)
    assert (web.st_size, web.st_mtime_ns) == (0, 0)
    listed = {"type": "file", "size": 5, "LastModified": moment.replace(microsecond=123_000), "ETag": '"abc"'}
    assert File.found("s3://bucket/a.jpg", remote._state(listed)) == File.found("s3://bucket/a.jpg", s3)
    before = File.found("s3://bucket/a.jpg", s3)
    assert before.is_as(s3)
    assert not File.found("s3://bucket/a.jpg", other).unchanged_since(before), "same size and time, another ETag"
