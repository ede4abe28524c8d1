"""What the authors of pretrained models did to texts before their tokenizers, as part of a `tokenizer.json`."""

from __future__ import annotations

import string

from tokenizers import Regex, normalizers


def lower_case() -> normalizers.Normalizer:
    """Lower case and single blanks: what SigLIP 2's towers were trained on (Tschannen et al., 2025)."""
    return normalizers.Sequence([normalizers.Lowercase(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Strip()])


def siglip(tokenizer_class: str) -> normalizers.Normalizer:
    """What a SigLIP or SigLIP 2 model of transformers does to texts.

    Args:
        tokenizer_class: of its `tokenizer_config.json`; SigLIP 2 has the tokenizer of Gemma.
    """
    return lower_case() if tokenizer_class.startswith(("Gemma", "Siglip2")) else canonical()


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
