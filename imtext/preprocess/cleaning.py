"""What the authors of pretrained models did to texts before their tokenizers, as part of a `tokenizer.json`."""

from __future__ import annotations

import string

from tokenizers import Regex, normalizers


def canonical() -> normalizers.Normalizer:
    """Lower case, no punctuation, single blanks: what SigLIP's towers were trained on (Zhai et al., 2023)."""
    marks = "".join(f"\\{mark}" for mark in string.punctuation if mark != "_")
    return normalizers.Sequence([
        normalizers.Replace("_", " "),
        normalizers.Replace(Regex(f"[{marks}]"), ""),
        normalizers.Lowercase(),
        normalizers.Replace(Regex(r"\s+"), " "),
        normalizers.Strip(),
    ])  # fmt: skip
