"""Several pictures in one ZIP."""

from __future__ import annotations

import io
import zipfile

import pytest
import requests

from imtext.errors import SearchError
from imtext.search.server.limits import Limits
from imtext.search.server.routes.downloading import parse_ids, require_size
from tests.search.server.conftest import Server

A, B = "a" * 32, "b" * 32


def test_ids() -> None:
    assert parse_ids(f"{B},{A},{B}", Limits()) == [B, A]
    for text in ("", "x", f"{A},", f"{A};{B}", A.upper()):
        with pytest.raises(SearchError, match="give ids of pictures"):
            parse_ids(text, Limits())
    with pytest.raises(SearchError, match="2 pictures are above 1, the limit of one ZIP; choose fewer"):
        parse_ids(f"{A},{B}", Limits(zip_pictures=1))
    require_size(10, Limits(zip_bytes=10))
    with pytest.raises(SearchError, match="12 MB, above the limit of one ZIP, 1 MB; choose fewer"):
        require_size(12_000_000, Limits(zip_bytes=1_000_000))


@pytest.mark.slow
def test_zip(server: Server) -> None:
    ids = server.ids()[4:7]
    address = f"{server.url}/zip?ids={','.join(ids)}"
    answer = server.get(f"/zip?ids={','.join(ids)}")
    assert answer.headers["content-type"] == "application/zip"
    assert int(answer.headers["content-length"]) == len(answer.content)
    with zipfile.ZipFile(io.BytesIO(answer.content)) as opened:
        assert opened.namelist() == ["04.png", "05.png", "06.png"]
        for name in opened.namelist():
            assert opened.read(name) == (server.pictures / name).read_bytes()
    head = requests.head(address, timeout=20)
    assert head.headers["content-length"] == answer.headers["content-length"]
    assert server.get(f"/zip?ids={A}").status_code == 404
    many = ",".join(f"{number:032x}" for number in range(1_001))
    assert "1,001 pictures are above 1,000" in server.get(f"/zip?ids={many}").json()["detail"]
