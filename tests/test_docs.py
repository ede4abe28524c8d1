"""The documentation works: every command that can run offline is run, and the site builds without warnings.

Blocks of `bash`, `console` and `python` are run in a folder that has what they mention. Settings that make training
short are appended to commands that train. A block that cannot run is preceded by `<!-- skip: why -->`.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from imtext.search import Bundle
from tests.conftest import TINY, picture
from tests.shards import write_shards

pytestmark = pytest.mark.slow

PROJECT = Path(__file__).parents[1]
PAGES = ["README.md", "CONTRIBUTING.md", *sorted(str(path.relative_to(PROJECT)) for path in PROJECT.glob("docs/*.md"))]
BLOCK = re.compile(
    r"(?:<!-- skip: (?P<reason>[^\n]+) -->\n)?```(?P<kind>bash|console|python)\n(?P<body>.*?)```", re.DOTALL
)
RUN = "runs/train/2026-11-23_18-21-07-412803"  # name of a run in the pages

# One step of everything, on what is here: six pictures in the layout of Flickr8K, random weights.
SHORT_TRAINING = [
    "trainer.max_epochs=1", "trainer.min_epochs=1", "trainer.limit_train_batches=1", "trainer.limit_val_batches=1",
    "trainer.limit_test_batches=1", "baseline=false", "logger=none", *TINY,
]  # fmt: skip


@dataclass(frozen=True)
class Command:
    """One command of a page, or all of a Python block."""

    page: str
    line: int
    kind: str
    text: str
    expected: str = ""  # output that the page shows, for `console`

    def __str__(self) -> str:
        return f"{self.page}:{self.line} {self.text.splitlines()[0][:60]}"


def read_blocks() -> Iterator[tuple[str, int, re.Match[str]]]:
    """All blocks of code, with page and line."""
    for page in PAGES:
        text = (PROJECT / page).read_text()
        for block in BLOCK.finditer(text):
            yield page, text[: block.start("body")].count("\n") + 1, block


def commands() -> list[Command]:
    """The commands to run, each once."""
    found: dict[tuple[str, str], Command] = {}
    for page, line, block in read_blocks():
        if block["reason"]:
            continue
        body, kind = block["body"], block["kind"]
        if kind == "python":
            found.setdefault((kind, body), Command(page, line, kind, body))
        elif kind == "console":
            for part in re.split(r"^\$ ", body, flags=re.MULTILINE)[1:]:
                command, _, expected = part.partition("\n")
                found.setdefault((kind, command), Command(page, line, kind, command, expected.strip()))
        else:
            for command in re.sub(r"\\\n\s*", "", body).splitlines():
                text = re.sub(r"\s+#.*", "", command).strip()
                if text and not text.startswith("#"):
                    found.setdefault((kind, text), Command(page, line, kind, text))
    return list(found.values())


@pytest.fixture(scope="module")
def folder(bundle: Bundle, pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with photos, captions, a run and an index, named as in the pages."""
    root = tmp_path_factory.mktemp("docs")
    photos = root / "home" / "Pictures"
    photos.mkdir(parents=True)
    for number in range(12):
        picture(photos / f"{number}.png", number)
    for name in ("a.jpg", "b.jpg", "photo.jpg"):
        picture(root / name, len(name))
    _make_captions(root / "my", photos)
    write_shards(root / "shards", *[2] * 100)
    flickr8k = shutil.copytree(pictures, root / "home" / "flickr8k")
    names = [f"{number}.jpg" for number in range(12)]
    for split, part in (("train", names[:6]), ("dev", names[6:9]), ("test", names[9:])):
        (flickr8k / f"Flickr_8k.{split}Images.txt").write_text("\n".join(part))
    run = [sys.executable, "-m", "imtext.train", "data=shapes", "data.num_images=40", "data.image_size=32", *TINY]
    done = subprocess.run(
        [*run, "data.batch_size=8", "trainer.max_epochs=2", "logger=none", f"hydra.run.dir={root / RUN}"],
        env=environment(root), cwd=root, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    shutil.copytree(bundle.path, root / RUN / "bundle")
    for name in ("scripts", "pyproject.toml"):
        (root / name).symlink_to(PROJECT / name)
    return root


def _make_captions(folder: Path, photos: Path) -> None:
    """Captions of the same pictures twice: a table, and JSON Lines with other names."""
    folder.mkdir()
    paths = sorted(photos.iterdir())
    lines = [f"{path},a drawing of number {path.stem} on paper" for path in paths]
    (folder / "captions.csv").write_text("\n".join(["image,caption", *lines]))
    parts = ["train"] * 6 + ["val"] * 3 + ["test"] * 3
    rows = [
        {"file": path.name, "title": f"drawing {path.stem}", "alt": "some shapes", "part": part}
        for path, part in zip(paths, parts, strict=True)
    ]
    (folder / "pairs.jsonl").write_text("\n".join(map(json.dumps, rows)))


def environment(root: Path) -> dict[str, str]:
    """The environment of the commands: their own home, cache and index, and one thread, because models are tiny."""
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    own = {
        "HOME": str(root / "home"),
        "IMTEXT_CACHE": str(root / "cache"),
        "PATH": programs,
        "PYTHONPATH": str(PROJECT),
    }
    variables = {key: value for key, value in os.environ.items() if not key.startswith(("IMTEXT_", "MLFLOW_", "XDG_"))}
    return variables | own | {"OMP_NUM_THREADS": "1", "COLUMNS": "200"}


def shortened(command: str) -> str:
    """The same command with a short run on small data: appended settings override those of the page."""
    if not re.match(r"python -m imtext\.(train|sweep)\b", command) or "--cfg" in command:
        return command
    added = [setting for setting in SHORT_TRAINING if "ckpt_path" not in command or "=" not in setting]
    if "data=" not in command and "experiment=quickstart" not in command and "ckpt_path" not in command:
        added += ["data.path=~/flickr8k", "data.image_size=32", "data.batch_size=2"]
    elif "data=table" in command:
        added += ["data.image_size=32", "data.batch_size=2"]
    added += ["sweep.n_trials=2"] if "sweep=optuna" in command else []
    return f"{command} {shlex.join(added)}"


def test_every_block_has_a_kind() -> None:
    """Indented or unnamed blocks would never be run."""
    for page in PAGES:
        fences = re.findall(r"^```(\w*)$", (PROJECT / page).read_text(), flags=re.MULTILINE)
        assert all(fences[::2]), f"{page}: a block of code without a language"
        assert set(fences[::2]) <= {"bash", "console", "python", "text", "yaml"}, page


@pytest.mark.parametrize("command", [one for one in commands() if one.kind != "python"], ids=str)
def test_commands(command: Command, folder: Path) -> None:
    done = subprocess.run(
        ["bash", "-c", shortened(command.text)], cwd=folder, env=environment(folder), capture_output=True, text=True,
        check=False, timeout=240,
    )  # fmt: skip
    printed = done.stdout + done.stderr
    if command.expected:
        assert command.expected in printed
    else:
        # A search may find nothing: the model of the tests is untrained. Its drawings have no duplicates.
        may_be_empty = command.text.startswith(("imtext search", "imtext duplicates"))
        assert done.returncode in ((0, 1) if may_be_empty else (0,)), printed


@pytest.mark.parametrize("command", [one for one in commands() if one.kind == "python"], ids=str)
def test_python(command: Command, folder: Path) -> None:
    program = command.text.replace("/home/me", str(folder / "home"))
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=folder,
        env=environment(folder),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_files_of_the_examples(tmp_path: Path) -> None:
    """Written into a copy of the project, they keep its rules, pass their tests, and train together."""
    for name in ("imtext", "conf", "scripts", "tests"):
        shutil.copytree(PROJECT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "CONTRIBUTING.md"):
        shutil.copy(PROJECT / name, tmp_path)
    files = re.findall(
        r"^`([\w/]+\.(?:py|yaml))`[^\n]*\n\n(?:<!--[^\n]*-->\n)?```(?:python|yaml)\n(.*?)```",
        "".join((PROJECT / page).read_text() for page in ("CONTRIBUTING.md", "docs/add-a-tower.md")),
        re.DOTALL | re.MULTILINE,
    )
    assert len(files) == 6
    for name, text in files:
        assert not (tmp_path / name).exists(), f"{name} exists already"
        (tmp_path / name).write_text(text)
    code = [name for name, _ in files if name.endswith(".py")]
    tests = [name for name in code if name.startswith("tests/")]
    tiny = [setting for setting in TINY if "text_encoder" not in setting]
    added = ["model/text_encoder=convolution", "loss=cosine_margin", "data.num_images=40", "data.image_size=32"]
    for command in (
        ["ruff", "check", *code],
        ["ruff", "format", "--check", *code],
        ["mypy", *code],
        ["pytest", *tests, "tests/test_house.py"],
        ["imtext.train", "experiment=quickstart", *added, *tiny, "trainer.max_epochs=1", "logger=none"],
    ):
        done = subprocess.run(
            [sys.executable, "-m", *command], cwd=tmp_path, env=environment(tmp_path) | {"PYTHONPATH": str(tmp_path)},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"


def test_the_site_builds_strictly(tmp_path: Path) -> None:
    """Build into `site/`, as users do; `-o setup` leaves the installation unchanged."""
    done = subprocess.run(
        ["make", "-o", "setup", "docs", "RUN="],
        cwd=PROJECT, env=environment(tmp_path), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    assert (PROJECT / "site" / "reference" / "configuration" / "index.html").is_file()


def test_the_picture_of_the_architecture_is_up_to_date(tmp_path: Path) -> None:
    new = tmp_path / "architecture.svg"
    subprocess.run(
        [sys.executable, "scripts/draw_architecture.py", str(new)], cwd=PROJECT, env=environment(tmp_path), check=True
    )
    assert new.read_text() == (PROJECT / "docs/images/architecture.svg").read_text(), (
        "run: python scripts/draw_architecture.py"
    )
