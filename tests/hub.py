"""A stand-in for the Hugging Face hub on this machine: the requests that its library sends to share a model.

Files that end in `.onnx` are stored as LFS objects and downloaded through a redirect, all others with the commit, as on
the hub. Everything is in memory.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import unquote

import pytest
from huggingface_hub import ModelCard, constants

USER, TOKEN, READER = "anna", "hf_writes", "hf_reads"
LICENCES = {"mit", "apache-2.0", "cc-by-4.0", "unknown"}
CODES = {"repo": "RepoNotFound", "revision": "RevisionNotFound", "entry": "EntryNotFound"}

Files = Mapping[str, bytes]


@dataclass
class Repository:
    """Its commits, oldest first, and who may read it."""

    private: bool
    commits: dict[str, Files] = field(default_factory=dict)

    def commit(self, files: Files) -> str:
        """Add a commit; returns its id."""
        digest = hashlib.sha1(repr((len(self.commits), sorted(files.items()))).encode()).hexdigest()
        self.commits[digest] = dict(files)
        return digest


@dataclass
class Hub:
    """The state of the stand-in.

    Attributes:
        repositories: by name.
        objects: contents of LFS objects, by hash.
        log: method and path of every request.
        cut: number of bytes after which the next download of an object breaks off; None: it does not.
        broken: downloads of objects are refused from then on.
    """

    repositories: dict[str, Repository] = field(default_factory=dict)
    objects: dict[str, bytes] = field(default_factory=dict)
    log: list[str] = field(default_factory=list)
    cut: int | None = None
    broken: bool = False

    def files(self, name: str) -> Files:
        """The newest files of a repository."""
        return list(self.repositories[name].commits.values())[-1]


class Handler(BaseHTTPRequestHandler):
    """Answers requests; `hub` is that of its server."""

    protocol_version = "HTTP/1.1"
    hub: Hub

    def log_message(self, *args: Any) -> None:
        """Print nothing."""

    def do_GET(self) -> None:
        self._answer()

    do_HEAD = do_POST = do_PUT = do_GET  # noqa: N815

    def _answer(self) -> None:
        path = unquote(self.path.partition("?")[0])
        self.hub.log.append(f"{self.command} {path}")
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        for pattern, answer in ROUTES:
            if found := re.fullmatch(pattern, f"{self.command} {path}"):
                answer(self, body, *found.groups())
                return
        self._send(404, {"error": f"the stand-in does not know {self.command} {path}"})

    def _send(self, status: int, content: Any = b"", **headers: str) -> None:
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _missing(self, what: str) -> None:
        self._send(404, {"error": f"{what} not found"}, X_Error_Code=CODES[what])

    @property
    def _token(self) -> str:
        return str(self.headers.get("Authorization", "")).removeprefix("Bearer ")

    def _may_write(self, owner: str) -> bool:
        if self._token not in (TOKEN, READER):
            self._send(401, {"error": "Invalid username or password."})
        elif self._token == READER or owner != USER:
            self._send(403, {"error": "You don't have the rights to write."})
        else:
            return True
        return False

    def _find(self, name: str, revision: str | None) -> tuple[str, Files] | None:
        """The id and the files of a commit; None, after an answer, if there is no such thing."""
        repository = self.hub.repositories.get(name)
        if self._token not in ("", TOKEN, READER):
            self._send(401, {"error": "Invalid token"}, X_Error_Message="Invalid credentials in Authorization header")
        elif repository is None or (repository.private and self._token != TOKEN):
            self._missing("repo")
        elif revision in (None, "main"):
            return next(reversed(repository.commits.items()), ("0" * 40, {}))
        elif revision in repository.commits:
            return str(revision), repository.commits[str(revision)]
        else:
            self._missing("revision")
        return None

    def create(self, body: bytes) -> None:
        asked = json.loads(body)
        owner = asked["organization"] or USER
        name = f"{owner}/{asked['name']}"
        if not self._may_write(owner):
            return
        known = name in self.hub.repositories
        if not known:
            self.hub.repositories[name] = Repository(asked.get("visibility") == "private")
        self._send(409 if known else 200, {"url": f"http://{self.headers['Host']}/{name}"})

    def validate(self, body: bytes) -> None:
        known = ModelCard(json.loads(body)["content"]).data.license in LICENCES
        errors = [] if known else [{"message": '"license" must be one of [mit, …]'}]
        self._send(400 if errors else 200, {"errors": errors, "warnings": []})

    def preupload(self, body: bytes, name: str) -> None:
        if self._may_write(name.split("/")[0]):
            paths = [file["path"] for file in json.loads(body)["files"]]
            modes = [{"path": path, "uploadMode": "lfs" if path.endswith(".onnx") else "regular"} for path in paths]
            self._send(200, {"files": [{**mode, "shouldIgnore": False} for mode in modes]})

    def batch(self, body: bytes, name: str) -> None:
        if self._may_write(name.split("/")[0]):
            objects = [{"oid": one["oid"], "size": one["size"]} for one in json.loads(body)["objects"]]
            for one in objects:
                if one["oid"] not in self.hub.objects:
                    one["actions"] = {"upload": {"href": f"http://{self.headers['Host']}/objects/{one['oid']}"}}
            self._send(200, {"transfer": "basic", "objects": objects})

    def store(self, body: bytes, oid: str) -> None:
        if hashlib.sha256(body).hexdigest() == oid:
            self.hub.objects[oid] = body
        self._send(200 if oid in self.hub.objects else 400)

    def commit(self, body: bytes, name: str) -> None:
        if not self._may_write(name.split("/")[0]):
            return
        files = dict(next(reversed(self.hub.repositories[name].commits.values()), {}))
        for line in map(json.loads, body.splitlines()):
            value = line["value"]
            if line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                files[value["path"]] = self.hub.objects[value["oid"]]
        digest = self.hub.repositories[name].commit(files)
        self._send(200, {"commitUrl": f"http://{self.headers['Host']}/{name}/commit/{digest}", "commitOid": digest})

    def info(self, _: bytes, name: str, revision: str | None) -> None:
        if found := self._find(name, revision):
            siblings = [{"rfilename": path} for path in found[1]]
            private = self.hub.repositories[name].private
            self._send(200, {"id": name, "sha": found[0], "private": private, "siblings": siblings})

    def tree(self, _: bytes, name: str, revision: str) -> None:
        if found := self._find(name, revision):
            entries = [("file", path, len(content), sha1(content)) for path, content in found[1].items()]
            self._send(200, [dict(zip(("type", "path", "size", "oid"), entry, strict=True)) for entry in entries])

    def resolve(self, _: bytes, name: str, revision: str, path: str) -> None:
        if (found := self._find(name, revision)) is None:
            return
        digest, files = found
        if path not in files:
            self._missing("entry")
            return
        content = files[path]
        about = {"X_Repo_Commit": digest, "ETag": f'"{sha1(content)}"'}
        if path.endswith(".onnx"):
            oid = hashlib.sha256(content).hexdigest()
            self.hub.objects[oid] = content
            about |= {"X_Linked_ETag": f'"{oid}"', "X_Linked_Size": str(len(content))}
            elsewhere = self.headers["Host"].replace("127.0.0.1", "localhost")  # as the hub's CDN, another host
            self._send(302, Location=f"http://{elsewhere}/objects/{oid}", **about)
        else:
            self._send(200, content, **about)

    def fetch(self, _: bytes, oid: str) -> None:
        if self.hub.broken:
            self._send(503)
            return
        content = self.hub.objects[oid]
        start = int(re.sub(r"\D", "", self.headers.get("Range", "0")))
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(content) - start))
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.end_headers()
        stop, self.hub.cut = self.hub.cut, None
        self.wfile.write(content[start:] if stop is None else content[start:stop])
        self.close_connection = stop is not None


def sha1(content: bytes) -> str:
    """The id of a file in git."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


MODEL = r"([\w.-]+/[\w.-]+)"
ROUTES: list[tuple[str, Callable[..., None]]] = [
    (r"POST /api/repos/create", Handler.create),
    (r"POST /api/validate-yaml", Handler.validate),
    (rf"POST /api/models/{MODEL}/preupload/main", Handler.preupload),
    (rf"POST /{MODEL}\.git/info/lfs/objects/batch", Handler.batch),
    (r"PUT /objects/(\w+)", Handler.store),
    (rf"POST /api/models/{MODEL}/commit/main", Handler.commit),
    (rf"GET /api/models/{MODEL}(?:/revision/(.+))?", Handler.info),
    (rf"GET /api/models/{MODEL}/tree/(.+)", Handler.tree),
    (rf"(?:GET|HEAD) /{MODEL}/resolve/([^/]+)/(.+)", Handler.resolve),
    (r"GET /objects/(\w+)", Handler.fetch),
]


@contextmanager
def standing_in(monkeypatch: pytest.MonkeyPatch, cache: str) -> Iterator[Hub]:
    """Let the hub's library talk to a stand-in, with the token of a user who may write, and an empty cache."""
    hub = Hub()
    handler = type("Bound", (Handler,), {"hub": hub})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    address = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setattr(constants, "ENDPOINT", address)
    template = f"{address}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", cache)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", f"{cache}/token")
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.delenv("HUGGING_FACE_HUB_TOKEN", raising=False)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
