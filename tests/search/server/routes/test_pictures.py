"""Files and thumbnails by id."""

from __future__ import annotations

import io
import tarfile

import pytest
from PIL import Image

from tests.conftest import picture
from tests.search.server.conftest import Server, Start, raw, wait_until

pytestmark = pytest.mark.slow


def test_pictures(server: Server) -> None:
    first = server.get("/images?limit=1").json()["results"][0]
    assert first["name"] == "00.png"
    assert first["score"] is None
    content = (server.pictures / "00.png").read_bytes()
    whole = server.get(f"/images/{first['id']}")
    assert (whole.content, whole.headers["content-type"]) == (content, "image/png")
    part = server.get(f"/images/{first['id']}", headers={"range": "bytes=10-19"})
    assert (part.status_code, part.content) == (206, content[10:20])
    for size in (320, 1600):
        small = server.get(f"/thumbnails/{first['id']}?size={size}")
        assert small.headers["content-type"] == "image/jpeg"
        assert "immutable" in small.headers["cache-control"]
        assert max(Image.open(io.BytesIO(small.content)).size) <= size
    assert server.get(f"/images/{'0' * 32}").status_code == 404
    described = server.get("/openapi.json").json()["paths"]["/images/{id}"]["get"]["responses"]
    for wanted, status in (("bytes=x", "400"), ("bytes=99999-", "416")):
        answer = server.get(f"/images/{first['id']}", headers={"range": wanted})
        assert str(answer.status_code) == status
        assert answer.headers["content-type"].split(";")[0] in described[status]["content"]


def test_a_picture_in_a_shard(start: Start) -> None:
    server = start()
    shard, drawn = server.pictures.parent / "more.tar", picture(server.pictures.parent / "99.png", 99)
    with tarfile.open(shard, "w") as archive:
        archive.add(drawn, "99.png")
    server.index.update([str(shard)])
    wait_until(lambda: len(server.ids()) == 31)
    added = server.get("/images?offset=30").json()["results"][0]
    assert added["name"] == "99.png"
    whole = server.get(f"/images/{added['id']}")
    assert (whole.content, whole.headers["content-type"]) == (drawn.read_bytes(), "image/png")
    assert server.get(f"/thumbnails/{added['id']}").headers["content-type"] == "image/jpeg"
    shard.unlink()
    assert server.get(f"/images/{added['id']}").status_code == 404


@pytest.mark.parametrize(
    "path", ["/images/../../../etc/passwd", "/images/%2e%2e%2f%2e%2e%2fetc%2fpasswd", "/../conf", "/thumbnails/.."]
)
def test_no_path_comes_from_a_client(server: Server, path: str) -> None:
    answer = raw(server, f"GET {path}")
    assert answer.split()[1] in (b"404", b"422")
    assert b"root:" not in answer


def test_a_changed_file_is_not_handed_out(start: Start) -> None:
    server = start()
    id = server.ids()[3]
    assert server.get(f"/thumbnails/{id}").ok
    (server.pictures / "03.png").write_bytes(b"something secret that came later")
    answer = server.get(f"/images/{id}")
    assert answer.status_code == 404
    assert "changed" in answer.json()["detail"]
    server.index.update()
    wait_until(lambda: server.get(f"/thumbnails/{id}").status_code == 404)


def test_a_name_does_not_make_a_picture_a_script(start: Start) -> None:
    server = start()
    script = server.pictures / "b.js"
    picture(script.with_suffix(".png"), 500).rename(script)
    (server.pictures / "list.txt").write_text("b.js\n")
    server.index.update([str(server.pictures / "list.txt")])
    wait_until(lambda: len(server.ids()) == 31)
    answer = server.get(f"/images/{server.ids()[-1]}")
    assert (answer.headers["content-type"], answer.headers["x-content-type-options"]) == (
        "image/png",
        "nosniff",
    )
