"""The tokenizers of pretrained dual encoders, as `tokenizer.json`."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any, Literal

import tokenizers
from tokenizers import Regex, normalizers, pre_tokenizers, processors

from imtext.errors import ConfigError, needs
from imtext.models.clip.transformers_layout import read_json
from imtext.preprocess.cleaning import canonical, siglip
from imtext.preprocess.tokenizer import JsonTokenizer

Clean = Literal["lower", "whitespace", "canonicalize"]
START, END = "<|startoftext|>", "<|endoftext|>"
MERGES = 49152 - 256 - 2  # of CLIP's vocabulary
WORDS = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
# What open_clip does to a text first: a part of ftfy's repairs, and entities of HTML.
CONTROL = "[\\x00-\\x08\\x0b\\x0e-\\x1f\\x7f\u206a-\u206f\ufeff\ufff9-\ufffc]"
REPAIRS = {
    CONTROL: "", "[\u02bc\u2018-\u201b]": "'", "[\u201c-\u201f]": '"', "&amp;": "&", "&lt;": "<", "&gt;": ">",
    "&quot;": '"', "&(apos|#39|#x27);": "'", "&nbsp;": " ",
    "\ufb00": "ff", "\ufb01": "fi", "\ufb02": "fl", "\ufb03": "ffi", "\ufb04": "ffl", "[\ufb05\ufb06]": "st",
}  # fmt: skip


def read_tokenizer(folder: Path, max_length: int, fixed_length: bool, clean: Clean | None = None) -> JsonTokenizer:
    """The tokenizer of a folder.

    Args:
        folder: with `tokenizer.json`, or other files of a tokenizer that transformers can read.
        max_length: maximum number of tokens of a text.
        fixed_length: pad every text to that length.
        clean: what the library of the model does to a text before its tokenizer.

    Raises:
        ConfigError: the tokenizer is missing, cannot be read or has no padding token.
    """
    path, settings = folder / "tokenizer.json", read_json(folder / "tokenizer_config.json", optional=True)
    backend = _from_file(path) if path.is_file() else _converted(folder)
    own = [backend.normalizer] if backend.normalizer is not None else []
    if clean is not None:
        backend.normalizer = normalizers.Sequence([*_cleaning(clean), *own])
    elif fixed_length and not any("Lowercase" in repr(each) for each in own):
        # SigLIP was trained on cleaned texts, which its tokenizer.json need not say.
        backend.normalizer = normalizers.Sequence([siglip(str(settings.get("tokenizer_class", ""))), *own])
    if (pad := _content(settings.get("pad_token"))) and backend.token_to_id(pad) is not None:
        backend.enable_padding(pad_id=backend.token_to_id(pad), pad_token=pad)
    backend.enable_truncation(max_length)
    try:
        return JsonTokenizer(backend, "pretrained", fixed_length)
    except ConfigError as error:
        raise ConfigError(f"The tokenizer in {folder} cannot be used: {error}") from error


def clip_tokenizer(max_length: int, fixed_length: bool = False) -> JsonTokenizer:
    """CLIP's own tokenizer, from the vocabulary that open_clip brings along.

    Its ids equal those of open_clip, except for texts that only the library `ftfy` can repair.

    Args:
        max_length: maximum number of tokens of a text.
        fixed_length: pad every text to that length, with the id that open_clip pads with.
    """
    with needs("open-clip"):
        from open_clip.tokenizer import bytes_to_unicode, default_bpe

    with gzip.open(default_bpe(), "rt", encoding="utf-8") as file:
        merges = [tuple(line.split()) for line in file.read().split("\n")[1 : MERGES + 1]]
    letters = list(bytes_to_unicode().values())
    words = [*letters, *(f"{letter}</w>" for letter in letters), *("".join(merge) for merge in merges), START, END]
    ids = {word: number for number, word in enumerate(words)}
    backend = bpe_tokenizer(ids, merges, max_length)
    if fixed_length:
        backend.enable_padding(pad_id=0, pad_token=words[0])
    return JsonTokenizer(backend, "pretrained", fixed_length)


def bpe_tokenizer(ids: dict[str, int], merges: list[Any], max_length: int) -> tokenizers.Tokenizer:
    """A tokenizer of CLIP's kind: lower case, words, then byte pairs.

    Args:
        ids: token → id; the last two are `START` and `END`.
        merges: pairs of tokens, the most frequent first.
        max_length: maximum number of tokens of a text.
    """
    model = tokenizers.models.BPE(
        ids, merges, unk_token=END, continuing_subword_prefix="", end_of_word_suffix="</w>", fuse_unk=False
    )
    backend = tokenizers.Tokenizer(model)
    backend.normalizer = normalizers.Sequence(_cleaning("lower"))
    words = pre_tokenizers.Split(Regex(WORDS), behavior="removed", invert=True)
    backend.pre_tokenizer = pre_tokenizers.Sequence([words, pre_tokenizers.ByteLevel(add_prefix_space=False)])
    backend.decoder = tokenizers.decoders.ByteLevel()
    backend.post_processor = processors.RobertaProcessing(
        (END, ids[END]), (START, ids[START]), trim_offsets=False, add_prefix_space=False
    )
    backend.add_special_tokens([START, END])
    backend.enable_padding(pad_id=ids[END], pad_token=END)
    backend.enable_truncation(max_length)
    return backend


def _cleaning(kind: Clean) -> list[Any]:
    """The normalizers that do what open_clip does to a text before its tokenizer."""
    steps: list[Any] = [normalizers.NFC(), *(normalizers.Replace(Regex(old), new) for old, new in REPAIRS.items())]
    if kind == "canonicalize":
        return [*steps, canonical()]
    if kind == "lower":
        steps.append(normalizers.Lowercase())
    return [*steps, normalizers.Replace(Regex(r"\s+"), " "), normalizers.Strip()]


def _content(token: Any) -> str | None:
    """A token, which `tokenizer_config.json` writes as a text or as an object."""
    return token.get("content") if isinstance(token, dict) else token


def _from_file(path: Path) -> tokenizers.Tokenizer:
    try:
        return tokenizers.Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises plain Exception
        raise ConfigError(f"{path} is not a tokenizer.json: {str(error).splitlines()[0]}") from error


def _converted(folder: Path) -> tokenizers.Tokenizer:
    """Files of an older kind, such as `vocab.json` and `merges.txt`, read by transformers."""
    with needs("hf"):
        from transformers import AutoTokenizer
    try:
        content = AutoTokenizer.from_pretrained(folder, trust_remote_code=False).backend_tokenizer.to_str()
    except Exception as error:  # transformers raises many kinds of errors
        raise ConfigError(
            f"{folder} has no tokenizer.json, and transformers reads no tokenizer from its other files: "
            f"{' '.join(str(error).split())[:200]}"
        ) from error
    return tokenizers.Tokenizer.from_str(json.dumps(json.loads(content)))
