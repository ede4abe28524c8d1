"""A day's requests to a server, one after the other: none fails, a question has one answer, and no memory stays."""

from __future__ import annotations

import json
import random
import threading
from collections import Counter
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import quote, urlsplit

import psutil
import pytest

from imtext.search import Bundle, Index
from tests.search.conftest import serving
from tests.torture.amounts import amount, write_down
from tests.torture.memory import resident

REQUESTS, CLIENTS = amount(1_500, 86_400), 3
WORDS = "red", "blue", "green", "circle", "star", "big", "+", "-", "犬", "%00", '"', "photo:", "drawing"

Answer = tuple[list[str], list[float | None]]  # ids and scores of the results

pytestmark = pytest.mark.slow


class Client(threading.Thread):
    """One of several users; what a question is answered is shared by all.

    Args:
        address: of the server.
        ids: of the pictures.
        requests: how many to send.
        answers: question → answer, to be filled.
        seed: of the questions.
    """

    def __init__(self, address: str, ids: list[str], requests: int, answers: dict[str, Answer], seed: int) -> None:
        super().__init__()
        self.connection = HTTPConnection(urlsplit(address).netloc, timeout=60)
        self.ids, self.requests, self.answers = ids, requests, answers
        self.chance = random.Random(seed)
        self.statuses: Counter[int] = Counter()
        self.others: list[str] = []  # questions that were answered in another way before

    def run(self) -> None:
        for _ in range(self.requests):
            question = self.question()
            self.connection.request("GET", question)
            response = self.connection.getresponse()
            answer = response.read()
            self.statuses[response.status] += 1
            if response.status == 200 and question.startswith("/search"):
                found = json.loads(answer)["results"]
                ids, scores = [one["id"] for one in found], [one["score"] for one in found]
                known, numbers = self.answers.setdefault(question, (ids, scores))
                # Not to the last digit: questions that arrive together are embedded together.
                if ids != known or scores != pytest.approx(numbers, abs=1e-5):
                    self.others.append(question)

    def question(self) -> str:
        chance = self.chance
        text = quote(" ".join(chance.choices(WORDS, k=chance.randint(0, 3))))
        id = chance.choice([*self.ids, "0" * 32, "none"])
        return chance.choice(
            [
                f"/search?q={text}",
                f"/search?q={text}&top_k={chance.choice([1, 5, 50, 0, -1, 10**9])}",
                f"/search?q={text}&after={chance.choice(['1990', '2030', 'yesterday'])}",
                f"/search?like={id}",
                f"/images/{id}/thumbnail",
                f"/images/{id}",
                f"/pictures?offset={chance.choice([0, 10, 10**9, -1])}",
                "/duplicates", "/timeline", "/info", "/", "/health", "/ready", "/none",
            ]
        )  # fmt: skip


def test_of_requests(bundle: Bundle, gallery: Path, tmp_path: Path) -> None:
    index = Index.create(tmp_path / "index", bundle)
    index.update([str(gallery)])
    ids = [result.id for result in index.newest(30)]
    index.close()
    answers: dict[str, Answer] = {}
    statuses: Counter[int] = Counter()
    others: list[str] = []
    memory: list[int] = []
    with serving(tmp_path / "index") as address:
        where = str(tmp_path / "index")
        (server,) = (child for child in psutil.Process().children() if where in child.cmdline())
        for part in range(5):
            clients = [
                Client(address, ids, REQUESTS // 5 // CLIENTS, answers, part * 100 + number)
                for number in range(CLIENTS)
            ]
            for client in clients:
                client.start()
            for client in clients:
                client.join()
                statuses += client.statuses
                others += client.others
            memory.append(resident(server.pid))
    grown = memory[-1] - memory[0]
    assert not [status for status in statuses if status >= 500], statuses
    assert statuses.total() == REQUESTS // 5 // CLIENTS * CLIENTS * 5
    assert statuses[200] > REQUESTS / 4
    assert not others
    assert grown < 30e6, f"{grown / 1e6:.0f} MB more"
    write_down(
        f"{statuses.total():,} requests: {dict(statuses)}; {grown / 1e6:+.1f} MB of memory after the first fifth"
    )
