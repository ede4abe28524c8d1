"""Encodings of tables: those that say what they are, UTF-8, and cp1252 where there is no doubt."""

from __future__ import annotations

from pathlib import Path

import pytest

from imtext.data.reading.decoding import decode
from imtext.errors import DataError

WESTERN = [
    "a dog in a café – “très” élégant, 20 °C…",
    "Größe, süß, naïve; l’été à Besançon: où est l’œuvre ? « Là ! »",
    "¿Dónde está el niño? ¡Aquí! 5 €",
    "smörgåsbord på Åland, blåøjet, hääyö",
    "ÉTÉ À LA PLAGE",
]
OTHERS = [
    ("собака бежит по пляжу", "cp1251"),
    ("σκύλος τρέχει", "cp1253"),
    ("pies biegnie szybko, był cały żółty", "cp1250"),
    ("köpek koşuyor, kız ağlıyor", "cp1254"),
    ("hundur í þorpi", "cp1252"),
    ("犬が走っている", "shift-jis"),
    ("一只狗在跑", "gbk"),
    ("a dog in a café", "mac-roman"),
    ("the dog’s ball", "mac-roman"),
    ("a dog in a café", "cp850"),
    ("a dog naïvely running", "cp437"),
]


def write(folder: Path, content: bytes) -> Path:
    path = folder / "own.csv"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("text", WESTERN)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32", "cp1252"])
def test_clear_encodings(tmp_path: Path, text: str, encoding: str) -> None:
    lines = f"image,caption\r\n0.jpg,{text}"
    found = decode(write(tmp_path, lines.encode(encoding)), spreadsheet=True)
    assert found.content == lines
    assert found.encoding == ("cp1252" if encoding == "cp1252" else encoding.removesuffix("-sig").upper())


@pytest.mark.parametrize(("text", "encoding"), OTHERS)
def test_doubtful_encodings_are_refused_with_their_line(tmp_path: Path, text: str, encoding: str) -> None:
    path = write(tmp_path, f"image,caption\n0.jpg,{text}\n".encode(encoding))
    with pytest.raises(
        DataError, match=r"own\.csv, line 2 is not UTF-8: save the file as UTF-8 \(in Excel: CSV UTF-8\)"
    ):
        decode(path, spreadsheet=True)


@pytest.mark.parametrize(
    "content",
    [
        "image,caption\n0.jpg,café".encode() + b" \xe9t\xe9",  # UTF-8 and cp1252
        "image,caption\r0.jpg,café".encode("cp1252"),  # line ends of an old Mac, where é is another byte
        "image,caption\n0.jpg,café".encode("utf-16-le"),  # without a mark
        "image,caption\n0.jpg,café".encode("utf-16")[:-1],
        b"image,caption\n0.jpg,caf\xe9\0",
    ],
)
def test_damaged_files_are_refused(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(DataError, match=r"line \d is not UTF-8"):
        decode(write(tmp_path, content), spreadsheet=True)


def test_only_spreadsheets_are_in_cp1252(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="line 1 is not UTF-8"):
        decode(write(tmp_path, b'{"image": "0.jpg", "caption": "caf\xe9"}\n'), spreadsheet=False)
