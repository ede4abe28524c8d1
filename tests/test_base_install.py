"""The base install in an empty environment: it searches, and names the command that installs missing parts.

The commands of the image, too: they make a server without torch.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import time
from pathlib import Path

import pytest
import requests

from imtext.search import Bundle
from tests.conftest import picture
from tests.exported import Exported

ROOT = Path(__file__).parents[1]
MAX_MEGABYTES = 350
HEAVY = (
    "torch",
    "lightning",
    "hydra",
    "mlflow",
    "datasets",
    "sklearn",
    "scipy",
    "matplotlib",
    "fastapi",
    "mcp",
    "uvicorn",
)


def find_uv() -> str | None:
    """The uv that `make setup` uses."""
    local = ROOT / ".tools" / "bin" / "uv"
    return os.environ.get("UV") or shutil.which("uv") or (str(local) if local.is_file() else None)


UV = find_uv()
pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),  # packages may have to be downloaded
    pytest.mark.skipif(UV is None, reason="needs uv: on PATH, in UV, or in .tools/bin (make setup)"),
]


def outside() -> dict[str, str]:
    """The environment variables of a shell in which no virtual environment is active."""
    return {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment with the base install and nothing else."""
    assert UV is not None
    folder = tmp_path_factory.mktemp("base") / "venv"
    uv = [UV, "--quiet", "--project", str(ROOT)]  # the project sets the latest allowed date of packages
    subprocess.run([*uv, "venv", "--no-project", str(folder)], check=True, env=outside())
    started = time.monotonic()
    subprocess.run([*uv, "pip", "install", "--python", str(folder), str(ROOT)], check=True, env=outside(), cwd=ROOT)
    print(f"installed in {time.monotonic() - started:.1f} s")
    return folder


def run(environment: Path, *args: str | Path, cwd: Path, code: int = 0) -> subprocess.CompletedProcess[str]:
    """Run a program of the environment, away from the checkout."""
    program, *rest = args
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "IMTEXT_"))}
    done = subprocess.run(
        [environment / "bin" / program, *rest], capture_output=True, text=True, cwd=cwd, env=clean, check=False
    )
    assert done.returncode == code, done.stderr
    return done


def test_size(environment: Path) -> None:
    files = [path for path in environment.rglob("*") if path.is_file() and not path.is_symlink()]
    assert sum(path.stat().st_size for path in files) / 2**20 < MAX_MEGABYTES


def test_no_package_of_an_extra_is_installed(environment: Path, tmp_path: Path) -> None:
    program = (
        "import importlib.util, imtext; print(imtext.__file__);"
        f"print([name for name in {HEAVY} if importlib.util.find_spec(name)])"
    )
    where, found = run(environment, "python", "-c", program, cwd=tmp_path).stdout.splitlines()
    assert where.startswith(str(environment))
    assert found == "[]"


def test_index_search_rank_info_check(environment: Path, bundle: Bundle, tmp_path: Path) -> None:
    gallery = tmp_path / "gallery"
    gallery.mkdir()
    for number in range(6):
        picture(gallery / f"{number}.png", number)
    index = tmp_path / "index"
    made = run(environment, "imtext", "index", gallery, "--index", index, "--bundle", bundle.path, cwd=tmp_path)
    assert "6 added" in made.stdout
    found = run(environment, "imtext", "search", gallery / "3.png", "--index", index, "--json", cwd=tmp_path)
    assert json.loads(found.stdout)[0]["path"] == str(gallery / "3.png")
    run(environment, "imtext", "search", "a red circle", "-i", index, "--min-relevance", "0", cwd=tmp_path)
    pictures = sorted(gallery.iterdir())
    ranked = run(environment, "imtext", "rank", "red", *pictures, "--bundle", bundle.path, cwd=tmp_path)
    assert len(ranked.stdout.splitlines()) == 6
    assert "pictures     6" in run(environment, "imtext", "info", index, cwd=tmp_path).stdout
    assert "ok: index" in run(environment, "imtext", "check", index, cwd=tmp_path).stdout
    demo = run(environment, "imtext", "demo", "demo", "--bundle", bundle.path, "--pictures", "5", cwd=tmp_path)
    assert "5 drawn pictures indexed" in demo.stdout


def test_search_without_training(environment: Path, immich: Exported, tmp_path: Path) -> None:
    """An exported CLIP model becomes a bundle, searches, tags and is calibrated, without torch."""
    captions = ["image,caption"]
    for number in range(20):
        picture(tmp_path / f"{number}.png", number)
        captions.append(f"{number}.png,picture number {number}")
    (tmp_path / "captions.csv").write_text("\n".join(captions))
    made = run(environment, "imtext", "bundle", immich.folder, "-o", "made", cwd=tmp_path)
    assert made.stdout == f"Bundle: {tmp_path / 'made'}\n"
    assert "layout of immich-app" in made.stderr
    indexed = run(environment, "imtext", "index", tmp_path, "-i", "index", "--bundle", "made", cwd=tmp_path)
    assert "20 added" in indexed.stdout
    found = run(environment, "imtext", "search", "3.png", "-i", "index", "--json", cwd=tmp_path)
    assert json.loads(found.stdout)[0]["path"] == str(tmp_path / "3.png")
    assert (
        "to add them: imtext calibrate" in run(environment, "imtext", "search", "a", "-i", "index", cwd=tmp_path).stderr
    )
    tagged = run(environment, "imtext", "tag", "3.png", "--labels", "red,blue", "--bundle", "made", cwd=tmp_path)
    assert tagged.stdout.startswith("3.png\n")
    measured = run(environment, "imtext", "calibrate", "index", "--data", "captions.csv", cwd=tmp_path)
    assert "20 pictures, 20 captions" in measured.stdout
    assert "calibration error" in run(environment, "imtext", "info", "index", cwd=tmp_path).stdout
    listed = run(environment, "imtext", "bundle", "--list", cwd=tmp_path).stdout
    assert "immich-app/ViT-B-32__openai" in listed


def test_the_commands_of_the_image_make_a_server(bundle: Bundle, tmp_path: Path) -> None:
    """Those of docs/deploy/Containerfile, with other folders. The image itself is not built."""
    assert UV is not None
    text = (ROOT / "docs" / "deploy" / "Containerfile").read_text()
    installed = tmp_path / "installed"
    for command in re.findall(r"^RUN uv (.*)", text, re.MULTILINE):
        here = command.replace("/opt/imtext", str(installed)).replace("/src", str(ROOT)).replace(" --no-cache", "")
        subprocess.run([UV, "--quiet", *shlex.split(here)], check=True, env=outside(), cwd=ROOT)
    absent = [name for name in HEAVY if name not in ("fastapi", "uvicorn")]
    program = f"import importlib.util; print([name for name in {absent} if importlib.util.find_spec(name)])"
    assert run(installed, "python", "-c", program, cwd=tmp_path).stdout == "[]\n"
    (tmp_path / "pictures").mkdir()
    picture(tmp_path / "pictures" / "0.png", 0)
    run(installed, "imtext", "index", "pictures", "--index", "index", "--bundle", bundle.path, cwd=tmp_path)
    serve = [
        str(installed / "bin" / "imtext"),
        "serve",
        "index",
        "--port",
        "0",
        "--token",
        "open-sesame",
        "--log",
        "json",
    ]
    with subprocess.Popen(serve, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path) as server:
        assert server.stdout is not None
        assert server.stderr is not None
        try:
            address = server.stdout.readline().split(" at ")[1].split()[0]
            (check,) = re.findall(r"^HEALTHCHECK .* CMD (\[.*\])", text, re.MULTILINE)
            run(installed, *json.loads(check.replace("http://127.0.0.1:8000", address)), cwd=tmp_path)
            asked, token = f"{address}/search?q=grandma&min_relevance=0", {"authorization": "Bearer open-sesame"}
            found = requests.get(asked, headers=token, timeout=60)
            assert [one["name"] for one in found.json()["results"]] == ["0.png"]
        finally:
            server.terminate()
        lines = [json.loads(line) for line in server.stderr.read().splitlines()]
    assert [(line["route"], line["status"]) for line in lines] == [("/ready", 200), ("/search", 200)]


def test_weights_of_torch_need_more(environment: Path, tmp_path: Path) -> None:
    for name, extra in (("config.json", "hf"), ("open_clip_config.json", "open-clip")):
        folder = tmp_path / name.split(".")[0]
        folder.mkdir()
        (folder / name).write_text("{}")
        (folder / "model.safetensors").touch()
        done = run(environment, "imtext", "bundle", folder, cwd=tmp_path, code=2)
        assert f'pip install "imtext[{extra}]"' in done.stderr


@pytest.mark.parametrize(
    ("args", "extra", "code"),
    [
        (("python", "-m", "imtext.train"), "train", 1),
        (("python", "-m", "imtext.evaluate"), "train", 1),
        (("imtext", "export", "last"), "train", 2),
        (("imtext", "serve"), "serve", 2),
        (("imtext", "mcp"), "mcp", 2),
        (("imtext", "index", "--watch"), "watch", 2),
    ],
)
def test_a_missing_package_names_its_install_command(
    environment: Path, tmp_path: Path, args: tuple[str, ...], extra: str, code: int
) -> None:
    done = run(environment, *args, cwd=tmp_path, code=code)
    assert done.stderr.startswith("error: ")
    assert f'pip install "imtext[{extra}]"' in done.stderr
    assert done.stderr.count("\n") == 1
