"""The tokenizer of an exported model, set up as its text graph expects it."""

from __future__ import annotations

import tokenizers
from tokenizers import normalizers

from imtext.errors import ConfigError
from imtext.preprocess.tokenizer import JsonTokenizer
from imtext.search.graph import MASK, Graph
from imtext.search.pretrained.layout import Facts


def make_tokenizer(content: bytes, facts: Facts, graph: Graph, max_length: int | None = None) -> JsonTokenizer:
    """The tokenizer with the padding and the maximum length that a text graph needs.

    Args:
        content: content of a `tokenizer.json`.
        facts: of the layout's other files.
        graph: the text graph.
        max_length: a lower maximum number of tokens; None: that of the graph.

    Raises:
        ConfigError: the content is not a tokenizer, its padding token does not exist, or the graph does not take
            texts of the wanted length.
    """
    try:
        backend = tokenizers.Tokenizer.from_str(content.decode())
    except Exception as error:  # the library raises plain Exception
        raise ConfigError(f"This is not a tokenizer.json: {str(error).splitlines()[0]}") from error
    pad_id = backend.token_to_id(facts.pad_token)
    if pad_id is None:
        raise ConfigError(f"The padding token {facts.pad_token!r} is not in the vocabulary of the tokenizer")
    # A tower that also reads the padding gives other embeddings if there is less of it.
    fixed = graph.length is not None or (MASK not in graph.inputs and not facts.causal)
    longest = graph.length or facts.max_length
    wanted = max_length or longest
    if wanted > longest or (fixed and wanted != longest):
        raise ConfigError(f"The text graph takes {'' if fixed else 'at most '}{longest} tokens, not {wanted}")
    backend.enable_padding(pad_id=pad_id, pad_token=facts.pad_token)
    backend.enable_truncation(wanted)
    if facts.clean is not None:
        backend.normalizer = normalizers.Sequence([facts.clean, *([backend.normalizer] if backend.normalizer else [])])
    return JsonTokenizer(backend, "pretrained", fixed)
