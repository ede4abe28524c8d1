"""Limits that keep the code readable: length of files and functions, and a test file for every module."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from statistics import median

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "imtext"
MAX_FILE, MAX_FUNCTION, MAX_MEDIAN = 300, 60, 130  # lines
TEXT = {".py", ".js", ".css", ".html", ".yaml", ".toml", ".md"}


def lines_of(path: Path) -> int:
    return len(path.read_text().splitlines())


def package_files() -> list[Path]:
    return [path for path in sorted(PACKAGE.rglob("*")) if path.suffix in TEXT and "__pycache__" not in path.parts]


def modules() -> list[Path]:
    """Modules with code; an `__init__.py` only collects names."""
    return [path for path in package_files() if path.suffix == ".py" and path.name != "__init__.py"]


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def test_no_file_is_too_long() -> None:
    long = {str(path.relative_to(ROOT)): lines_of(path) for path in package_files() if lines_of(path) > MAX_FILE}
    assert not long, f"Files with more than {MAX_FILE} lines: {long}"


def test_files_are_short_on_the_whole() -> None:
    assert median(lines_of(path) for path in package_files()) <= MAX_MEDIAN


def test_no_function_is_too_long() -> None:
    long = {}
    for path in package_files():
        if path.suffix == ".py":
            for function in functions(ast.parse(path.read_text())):
                length = (function.end_lineno or 0) - function.lineno + 1
                if length > MAX_FUNCTION:
                    long[f"{path.relative_to(ROOT)}:{function.lineno} {function.name}"] = length
    assert not long, f"Functions with more than {MAX_FUNCTION} lines: {long}"


def test_every_module_has_a_test_of_its_name() -> None:
    missing = []
    for module in modules():
        name = module.relative_to(PACKAGE).with_name(f"test_{module.stem.strip('_')}.py")
        if not (ROOT / "tests" / name).is_file():
            missing.append(str(ROOT.joinpath("tests", name).relative_to(ROOT)))
    assert not missing, f"Missing test files: {' '.join(missing)}"


def test_every_test_has_a_module_of_its_name() -> None:
    """Tests of the project as a whole are listed here; any other test file without a module is outdated."""
    whole = {
        "test_base_install.py",
        "test_docs.py",
        "test_house.py",
        "test_processes.py",
        "test_towers.py",
        "search/index/test_shoebox.py",
        "search/server/test_deployment.py",
        "search/server/test_several_servers.py",
    }
    whole |= {str(path.relative_to(ROOT / "tests")) for path in (ROOT / "tests" / "torture").glob("test_*.py")}
    lost = []
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        name = path.relative_to(ROOT / "tests")
        stem = name.stem.removeprefix("test_")
        homes = [PACKAGE / name.parent, ROOT / name.parent]
        files = (f"{stem}.py", f"__{stem}__.py", f"{stem}.js")
        exists = any((home / file).is_file() for home in homes for file in files)
        if str(name) not in whole and not exists:
            lost.append(str(name))
    assert not lost, f"Test files without a module of their name: {' '.join(lost)}"


def test_no_module_is_called_utils() -> None:
    assert not [path for path in modules() if path.stem in ("utils", "util", "helpers", "misc", "common")]


def test_files_are_read_without_running_code() -> None:
    """Pickles, YAML tags and shells run code of whoever wrote them; docs/security.md promises that nothing does."""
    never = {"eval", "exec", "pickle.load", "pickle.loads", "yaml.load", "yaml.unsafe_load", "os.system"}
    never_with = {"allow_pickle", "shell", "trust_remote_code"}
    found = []
    for path in [*package_files(), *sorted((ROOT / "scripts").glob("*.py"))]:
        for node in ast.walk(ast.parse(path.read_text() if path.suffix == ".py" else "")):
            if isinstance(node, ast.Call):
                name, given = ast.unparse(node.func), {word.arg: ast.unparse(word.value) for word in node.keywords}
                reads = name in ("torch.load", "open_clip.load_checkpoint") or "ckpt_path" in given
                unsafe = any(given.get(word, "False") != "False" for word in never_with)
                if name in never or unsafe or (reads and given.get("weights_only") != "True"):
                    found.append(f"{path.name}:{node.lineno} {name}")
    assert not found, f"This could run code from a file: {found}"
