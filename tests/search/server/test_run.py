"""The server as a process: access, ports, shutdown."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time

import pytest
import requests

from tests.search.server.conftest import Server, Start

pytestmark = pytest.mark.slow


def test_others_are_let_in_on_purpose_only(server: Server) -> None:
    def serve(*options: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "imtext", "serve", str(server.index.folder), *options]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    refused = serve("--host", "0.0.0.0", "--port", "0")
    assert refused.returncode == 2
    assert "--token" in refused.stderr
    assert "letters, digits" in serve("--token", "short").stderr
    taken = serve("--port", server.url.rsplit(":", 1)[1])
    assert (taken.returncode, taken.stderr.count("\n")) == (2, 1)
    assert "Try another --port" in taken.stderr


def test_requests_under_way_are_finished_before_it_ends(start: Start) -> None:
    server = start()
    host, port = server.url.removeprefix("http://").split(":")
    content = (server.pictures / "00.png").read_bytes()
    with socket.create_connection((host, int(port)), timeout=20) as line:
        head = f"POST /search/image?top_k=1 HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(content)}\r\n\r\n"
        line.sendall(head.encode() + content[:50])
        time.sleep(0.3)
        os.kill(server.process.pid, signal.SIGTERM)
        time.sleep(0.5)
        assert server.process.poll() is None
        with pytest.raises(requests.ConnectionError):  # which is how a load balancer learns of it
            server.get("/ready")
        line.sendall(content[50:])
        answer = b"".join(iter(lambda: line.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 200")
    assert b"00.png" in answer
    assert server.process.wait(20) == 0
