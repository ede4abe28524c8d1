"""Where an exported model comes from: a folder, or the hub; and which layout it has."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from platformdirs import user_data_path

from imtext.errors import BundleError, Extra
from imtext.search.manifest import MANIFEST
from imtext.search.pretrained.download import download, hub_files
from imtext.search.pretrained.immich import IMMICH
from imtext.search.pretrained.layout import Layout
from imtext.search.pretrained.recommended import RECOMMENDED
from imtext.search.pretrained.transformers_js import TRANSFORMERS_JS

LAYOUTS: Sequence[Layout] = (IMMICH, TRANSFORMERS_JS)
KNOWN = (
    "immich-app (visual/model.onnx, textual/model.onnx), transformers.js (onnx/vision_model.onnx, "
    "onnx/text_model.onnx), OpenCLIP (open_clip_config.json) and transformers (config.json, model.safetensors)"
)


@dataclass(frozen=True)
class Source:
    """An exported model.

    Attributes:
        name: ``owner/name`` on the hub, or the path of a folder.
        files: names of all its files.
        folder: the folder; None: it is on the hub.
    """

    name: str
    files: frozenset[str]
    folder: Path | None = None

    @property
    def layout(self) -> Layout | None:
        """The layout of its ONNX graphs; None if it has none that imtext knows."""
        return next((layout for layout in LAYOUTS if layout.matches(self.files)), None)

    @property
    def extra(self) -> Extra | None:
        """The part of the installation that converts it, if it has weights of torch instead of ONNX graphs."""
        if self.layout is not None:
            return None
        if "open_clip_config.json" in self.files:
            return "open-clip"
        weights = any(name.endswith((".safetensors", "pytorch_model.bin")) for name in self.files)
        return "hf" if weights and "config.json" in self.files else None

    def fetch(self, files: Sequence[str]) -> Path:
        """The folder with these files, downloaded if needed.

        Raises:
            BundleError: the download failed.
        """
        return self.folder or download(self.name, files)

    def unknown(self) -> BundleError:
        """The error for a layout that imtext does not know."""
        if MANIFEST in self.files:
            where = self.name if self.folder else f"hf://{self.name}"
            return BundleError(f"{self.name} has a {MANIFEST}: it is a bundle already. Use it with --bundle {where}")
        return BundleError(f"{self.name} has no layout that imtext knows. Those are {KNOWN}")


def open_source(name: str) -> Source:
    """Find a model.

    Args:
        name: a folder, ``owner/name`` on the hub, or the short name of a recommended model.

    Raises:
        BundleError: there is no such model, or the hub does not answer.
    """
    folder = Path(name).expanduser()
    if folder.is_dir():
        files = (path for pattern in ("*", "*/*") for path in folder.glob(pattern) if path.is_file())
        return Source(str(folder.absolute()), frozenset(path.relative_to(folder).as_posix() for path in files), folder)
    repository = repository_of(name)
    if repository is None:
        raise BundleError(
            f"{name} is no folder, no owner/name of a model on the hub, and no recommended model: "
            f"{', '.join(RECOMMENDED)}. imtext bundle --list describes them"
        )
    return Source(repository, frozenset(hub_files(repository)))


def repository_of(name: str) -> str | None:
    """The ``owner/name`` that a name means; None if it cannot be one."""
    if name in RECOMMENDED:
        return RECOMMENDED[name].repository
    return name if is_repository(name) else None


def is_repository(name: str) -> bool:
    """Whether a name looks like ``owner/name`` on the hub."""
    return re.fullmatch(r"[\w.-]+/[\w.-]+", name) is not None


def bundles_dir() -> Path:
    """The folder of bundles that were made of exported models, in the user's data folder."""
    return user_data_path("imtext", appauthor=False) / "bundles"


def default_output(name: str) -> Path:
    """The folder of the bundle of a model, unless another is named."""
    folder = Path(name).expanduser()
    own = folder.absolute().name if folder.is_dir() else name.replace("/", "--")  # owners may use the same name
    return bundles_dir() / own
