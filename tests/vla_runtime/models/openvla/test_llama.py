"""Our language model against transformers', in shapes that the golden folders do not have."""

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from vla_runtime.models.openvla.configuration import LlamaConfiguration
from vla_runtime.models.openvla.llama import KeyValueCache, Llama, causal_mask

SHAPES = [
    {"num_attention_heads": 4, "num_key_value_heads": 4},
    {"num_attention_heads": 8, "num_key_value_heads": 2},
    {"num_attention_heads": 6, "num_key_value_heads": 1, "rope_theta": 500_000.0, "rms_norm_eps": 1e-5},
]


def pair(shape: dict) -> tuple[LlamaForCausalLM, Llama]:
    """Theirs and ours with the same random weights."""
    common = {"vocab_size": 97, "hidden_size": 48, "intermediate_size": 80, "num_hidden_layers": 3, **shape}
    torch.manual_seed(0)
    theirs = LlamaForCausalLM(LlamaConfig(**common)).eval()
    ours = Llama(LlamaConfiguration.from_mapping(theirs.config.to_dict())).eval()
    ours.load_state_dict(theirs.state_dict())
    return theirs, ours


def logits(ours: Llama, ids: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
    return ours.lm_head(ours(ours.model.embed_tokens(ids), mask))


@pytest.mark.parametrize("shape", SHAPES)
@torch.no_grad()
def test_logits_agree(shape: dict) -> None:
    theirs, ours = pair(shape)
    ids = torch.randint(0, 97, (2, 11))
    torch.testing.assert_close(logits(ours, ids), theirs(ids).logits, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("shape", SHAPES)
@torch.no_grad()
def test_padded_rows_agree_where_there_is_text(shape: dict) -> None:
    theirs, ours = pair(shape)
    ids = torch.randint(0, 97, (2, 9))
    padding = torch.ones(2, 9, dtype=torch.long)
    padding[1, 6:] = 0
    expected = theirs(ids, attention_mask=padding).logits
    got = logits(ours, ids, causal_mask(padding))
    torch.testing.assert_close(got[padding.bool()], expected[padding.bool()], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("shape", SHAPES)
@torch.no_grad()
def test_reading_in_pieces_equals_reading_at_once(shape: dict) -> None:
    _, ours = pair(shape)
    ids = torch.randint(0, 97, (2, 10))
    whole = logits(ours, ids)
    embeddings = ours.model.embed_tokens(ids)
    cache = KeyValueCache.empty(ours.text, 2, 10, embeddings)
    spans = [(0, 4), (4, 7), (7, 8), (8, 9), (9, 10)]
    pieces = [ours(embeddings[:, start:end], None, cache) for start, end in spans]
    torch.testing.assert_close(ours.lm_head(torch.cat(pieces, dim=1)), whole, rtol=1e-5, atol=1e-5)
    assert cache.length == 10
