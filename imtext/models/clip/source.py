"""Find a pretrained dual encoder: a folder, a name of the Hugging Face hub, or a name and a tag of open_clip."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from imtext.errors import ConfigError, MissingExtraError, needs
from imtext.models.clip import open_clip_layout, transformers_layout
from imtext.models.clip.tokenizer import clip_tokenizer, read_tokenizer
from imtext.models.clip.towers import Parts
from imtext.models.hub import download
from imtext.preprocess.tokenizer import Tokenizer

SMALL = ["*.json", "*.txt", "*.model"]  # everything of a repository but its weights


@dataclass(frozen=True)
class Source:
    """Where a pretrained dual encoder comes from.

    Attributes:
        name: as the user gave it.
        layout: the library that wrote it.
        folder: with its files; None for a name and a tag of open_clip.
    """

    name: str
    layout: str
    folder: Path | None

    def architecture(self) -> dict[str, Any]:
        """The settings from which `build` makes the same network again."""
        if self.folder is None:
            return open_clip_layout.published_architecture(*self.name.split("/", 1))
        if self.layout == "open_clip":
            return open_clip_layout.read_architecture(self.folder)
        return transformers_layout.read_architecture(self.folder)

    def parts(self, architecture: dict[str, Any]) -> Parts:
        """The network with its weights."""
        if self.layout == "transformers":
            folder = self._with("model*.safetensors", "model.safetensors.index.json")
            return transformers_layout.build(architecture, folder)
        if self.folder is None:
            return open_clip_layout.build(architecture, open_clip_layout.download(*self.name.split("/", 1)))
        folder = self._with(*open_clip_layout.WEIGHTS[:2])
        if not any((folder / name).is_file() for name in open_clip_layout.WEIGHTS):
            folder = self._with(*open_clip_layout.WEIGHTS)
        return open_clip_layout.build(architecture, open_clip_layout.find_weights(folder))

    def tokenizer(self, architecture: dict[str, Any], max_length: int) -> Tokenizer:
        """The tokenizer, for texts of at most `max_length` tokens or fewer."""
        limit, fixed = text_length(architecture)
        length = limit if fixed else min(limit, max_length)
        if self.layout == "transformers" and self.folder is not None:
            return read_tokenizer(self.folder, length, fixed)
        text = architecture["config"]["text_cfg"]
        if text.get("tokenizer_mode"):
            raise ConfigError(
                f"{self.name} needs the tokenizer mode {text['tokenizer_mode']!r}, which is not supported"
            )
        if needed := text.get("hf_tokenizer_name"):
            options = dict(text.get("tokenizer_kwargs") or {})
            clean = options.pop("clean", "whitespace")
            if any(options.values()):
                raise ConfigError(f"{self.name}: its tokenizer needs {', '.join(sorted(options))}, which imtext lacks")
            folder = self.folder or _download(needed, SMALL)
            return read_tokenizer(folder, length, fixed, clean)
        if self.folder is not None and (self.folder / "tokenizer.json").is_file() and not fixed:
            return read_tokenizer(self.folder, length, fixed)
        return clip_tokenizer(length, fixed)

    def _with(self, *patterns: str) -> Path:
        """The folder, after the files of these names are downloaded if it comes from the hub."""
        assert self.folder is not None
        return self.folder if _is_folder(self.name) else _download(self.name, patterns)


def find(name: str | None) -> Source:
    """Find a pretrained dual encoder.

    Args:
        name: a folder; ``owner/name`` of the hub; or ``ViT-B-32/laion2b_s34b_b79k``, a name and a tag of open_clip.

    Raises:
        ConfigError: there is no such model.
    """
    if not name:
        raise ConfigError(
            "model.name is needed: a folder, a name of the Hugging Face hub such as openai/clip-vit-base-patch32, or "
            "a name and a tag of open_clip such as ViT-B-32/laion2b_s34b_b79k"
        )
    if _is_folder(name):
        folder = Path(name).expanduser().absolute()
    elif _is_published(name):
        return Source(name, "open_clip", None)
    else:
        folder = _download(name, SMALL)
    return Source(name, _layout(folder, local=_is_folder(name)), folder)


def text_length(architecture: dict[str, Any]) -> tuple[int, bool]:
    """The maximum number of tokens of a text, and whether all texts must have it."""
    config = architecture["config"]
    if architecture["layout"] == "open_clip":
        return int(config["text_cfg"].get("context_length", 77)), open_clip_layout.reads_padding(config)
    is_siglip = config["model_type"] == transformers_layout.SIGLIP
    default = 64 if is_siglip else 77
    return int(config.get("text_config", {}).get("max_position_embeddings", default)), is_siglip


def _layout(folder: Path, local: bool) -> str:
    """The library that wrote a model. If it has the files of both, transformers reads a folder, open_clip the hub.

    The weights of a model of the hub are not downloaded yet, so they cannot decide.
    """
    config = transformers_layout.read_json(folder / "config.json", optional=True)
    is_open_clip = (folder / open_clip_layout.CONFIG).is_file()
    has_weights = local and (folder / "model.safetensors").is_file()
    if "model_type" in config and (has_weights or not is_open_clip):
        return "transformers"
    if is_open_clip:
        return "open_clip"
    raise ConfigError(
        f"{folder} holds no dual encoder: it has neither a config.json of transformers nor {open_clip_layout.CONFIG}"
    )


def _is_folder(name: str) -> bool:
    path = Path(name).expanduser()
    if path.is_dir():
        return True
    if path.is_absolute() or name.startswith((".", "~")):
        raise ConfigError(f"model.name={name}: there is no such folder")
    return False


def _is_published(name: str) -> bool:
    """Whether this is a name and a tag of open_clip."""
    try:
        with needs("open-clip"):
            import open_clip
    except MissingExtraError:
        return False
    return name.count("/") == 1 and name.split("/")[0] in open_clip.list_models()


def _download(name: str, patterns: Sequence[str]) -> Path:
    needed = "config.json and model.safetensors, or open_clip_config.json and open_clip_model.safetensors"
    return download(name.removeprefix("hf-hub:"), patterns, "model.name", needed)
