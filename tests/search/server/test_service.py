"""The server loads new commits of its index."""

from __future__ import annotations

import asyncio
import threading
import time
from pathlib import Path

import pytest
import requests

from imtext.search import Bundle, Index
from imtext.search.server import Limits, service
from tests.conftest import changed_bundle, picture
from tests.search.server.conftest import Server, Start, wait_until

pytestmark = pytest.mark.slow


def test_new_pictures_are_found_while_all_go_on(start: Start) -> None:
    server = start()
    stop, failed, asked = threading.Event(), [], []

    def keep_asking() -> None:
        with requests.Session() as session:
            while not stop.is_set():
                answer = session.get(f"{server.url}/search?q=a+star&top_k=40", timeout=20)
                if answer.ok:
                    asked.append(answer.json()["total"])
                else:
                    failed.append(answer.text)

    threads = [threading.Thread(target=keep_asking) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        for number in range(3):
            new = picture(server.pictures / f"new {number}.png", 1000 + number)
            server.index.update()
            committed = time.monotonic()
            while server.post("/search/image?top_k=1", data=new.read_bytes()).json()["results"][0]["name"] != new.name:
                assert time.monotonic() - committed < 2
        (server.pictures / "05.png").unlink()
        server.index.update()
        wait_until(lambda: server.get("/info").json()["pictures"] == 32)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert not failed
    assert len(asked) > 20
    assert {32, 33} <= set(asked) <= {30, 31, 32, 33}


def test_a_rebuilt_index_is_taken_up(start: Start, bundle: Bundle, tmp_path: Path) -> None:
    server = start()
    crop = {**bundle.manifest["preprocess"], "resize": "crop"}
    changed = changed_bundle(bundle, tmp_path / "other", preprocess=crop)
    Index.create(server.index.folder, changed, rebuild=True).update()
    wait_until(lambda: server.get("/info").json()["fingerprint"] == changed.fingerprint)
    wait_until(lambda: server.get("/info").json()["pictures"] == 30)
    assert server.get("/search?q=red").ok


def test_following_continues_after_errors(
    server: Server, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(service, "LOOK_SECONDS", 0.01)
    follower = service.Service(server.index.folder, Limits())
    errors = iter([ValueError("no array"), MemoryError("too large")])

    def look() -> bool:
        for error in errors:
            raise error
        return True

    async def follow() -> None:
        following = asyncio.create_task(follower.follow())
        while not follower.reloads and not following.done():
            await asyncio.sleep(0.01)
        following.cancel()

    monkeypatch.setattr(follower, "_look", look)
    asyncio.run(follow())
    follower.close()
    assert follower.reloads == 1
    assert "no array" in caplog.text
