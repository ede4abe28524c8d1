"""The loops that other libraries document for embedding pictures and texts, with the same weights as a bundle."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

from imtext.errors import ConfigError, Extra, needs

BATCH = 32


class Peer(Protocol):
    """Another way to do what a bundle does."""

    name: str

    def prepare(self) -> None:
        """Called before every round; its time does not count."""

    def embed_files(self, files: Sequence[Path]) -> None:
        """Embed pictures, from their files on."""

    def answer(self, text: str) -> None:
        """Embed one text."""


class OpenCLIP(Peer):
    """open_clip: its model, its preprocessing and its tokenizer, in batches.

    Args:
        name: a model name, or `local-dir:<folder>`, as open_clip takes it.
    """

    def __init__(self, name: str) -> None:
        with needs("open-clip"):
            import open_clip

        self.name = f"open_clip {name.rpartition('/')[2]}"
        self.model, _, self.preprocess = open_clip.create_model_and_transforms(name)
        self.model.eval()
        self.tokenizer = open_clip.get_tokenizer(name)

    def embed_files(self, files: Sequence[Path]) -> None:
        """Embed pictures, from their files on."""
        import torch
        from PIL import Image

        with torch.inference_mode():
            for start in range(0, len(files), BATCH):
                batch = [self.preprocess(Image.open(path)) for path in files[start : start + BATCH]]
                self.model.encode_image(torch.stack(batch), normalize=True).numpy()

    def answer(self, text: str) -> None:
        """Embed one text."""
        import torch

        with torch.inference_mode():
            self.model.encode_text(self.tokenizer([text]), normalize=True).numpy()


class Transformers(Peer):
    """transformers: its model and its processor, in batches.

    Args:
        name: a folder or a name of the hub.
    """

    def __init__(self, name: str) -> None:
        with needs("hf"):
            from transformers import AutoModel, AutoProcessor

        self.name = f"transformers {name.rpartition('/')[2]}"
        self.model: Any = AutoModel.from_pretrained(name).eval()
        self.processor: Any = AutoProcessor.from_pretrained(name)

    def embed_files(self, files: Sequence[Path]) -> None:
        """Embed pictures, from their files on."""
        import torch
        from PIL import Image

        with torch.inference_mode():
            for start in range(0, len(files), BATCH):
                images = [Image.open(path).convert("RGB") for path in files[start : start + BATCH]]
                self.model.get_image_features(**self.processor(images=images, return_tensors="pt"))

    def answer(self, text: str) -> None:
        """Embed one text."""
        import torch

        with torch.inference_mode():
            self.model.get_text_features(**self.processor(text=[text], return_tensors="pt", padding=True))


PEERS: dict[str, Callable[[str], Peer]] = {"open_clip": OpenCLIP, "transformers": Transformers}
EXTRAS: dict[str, Extra] = {"open_clip": "open-clip", "transformers": "hf"}


def find_peer(described: str) -> Callable[[], Peer]:
    """A peer that is built when it is called, from `open_clip=<name>` or `transformers=<folder>`.

    Raises:
        ConfigError: there is no such library.
        MissingExtraError: it is not installed.
    """
    library, _, name = described.partition("=")
    if library not in PEERS or not name:
        raise ConfigError(f"--peer takes {' or '.join(f'{known}=<model>' for known in PEERS)}, not {described!r}")
    with needs(EXTRAS[library]):
        if find_spec(library) is None:
            raise ModuleNotFoundError(name=library)
    return lambda: PEERS[library](name)
