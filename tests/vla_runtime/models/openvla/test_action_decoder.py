"""Fast decoding writes the tokens that transformers' `generate` writes: whatever the lengths, drafts, batches and what the cache holds."""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM

from vla_runtime.models.openvla.action_decoder import ActionDecoder, can_decode
from vla_runtime.models.openvla.configuration import (
    LlamaConfiguration,
    OpenVLAConfiguration,
    TowerConfiguration,
)
from vla_runtime.models.openvla.decode import greedy_tokens
from vla_runtime.models.openvla.model import OpenVLA

COUNT, BINS, ROWS = 7, 256, 704
TEXT = LlamaConfiguration(
    vocab_size=ROWS + 64,
    hidden_size=64,
    intermediate_size=172,
    num_hidden_layers=3,
    num_attention_heads=4,
    num_key_value_heads=4,
)
LENGTHS = range(9, 69)
MARGIN_ULPS = 4  # of the largest logit in bf16, within which another token may be chosen


def made(text: LlamaConfiguration, rows: int = ROWS, seed: int = 0) -> OpenVLA:
    """With random weights, and a read-out that favours the action tokens."""
    tower = TowerConfiguration(16, 8, 32, 2, 2, 2.0)
    settings = OpenVLAConfiguration((tower,), text, vocab_size=rows, pad_token_id=0)
    torch.manual_seed(seed)
    model = OpenVLA(settings).eval().requires_grad_(requires_grad=False)
    for name, parameter in model.named_parameters():
        if parameter.ndim > 1:
            parameter.normal_(0.0, 1.5 * parameter[0].numel() ** -0.5)
        elif "norm" not in name and "bias" not in name:
            parameter.normal_(1.0, 0.1)
    model.language_model.lm_head.weight[: rows - BINS] *= 0.1
    model.language_model.lm_head.weight[rows:] *= 0.1
    return model


def reference(model: OpenVLA) -> Any:
    """Transformers' network with the same weights."""
    text = model.configuration.text
    config = LlamaConfig(
        vocab_size=text.vocab_size,
        hidden_size=text.hidden_size,
        intermediate_size=text.intermediate_size,
        num_hidden_layers=text.num_hidden_layers,
        num_attention_heads=text.num_attention_heads,
        num_key_value_heads=text.num_key_value_heads,
        rms_norm_eps=text.rms_norm_eps,
        bos_token_id=1,
        eos_token_id=None,
        pad_token_id=0,
    )
    network: Any = LlamaForCausalLM(config).eval()
    network.load_state_dict(model.language_model.state_dict())
    return network.to(model.language_model.lm_head.weight.dtype)


def generated(network: Any, embeddings: Tensor) -> tuple[int, ...]:
    mask = torch.ones(embeddings.shape[:2], dtype=torch.long)
    written: Any = network.generate(
        inputs_embeds=embeddings, attention_mask=mask, max_new_tokens=COUNT, do_sample=False
    )
    return tuple(written[0, -COUNT:].tolist())


def prompt(length: int, text: LlamaConfiguration = TEXT, dtype: torch.dtype = torch.float32) -> Tensor:
    """Embeddings [1, length, width]."""
    return torch.randn(1, length, text.hidden_size, generator=torch.Generator().manual_seed(length)).to(dtype)


@pytest.fixture(scope="module")
def model() -> OpenVLA:
    return made(TEXT)


@pytest.fixture(scope="module")
def expected(model: OpenVLA) -> dict[int, tuple[int, ...]]:
    network = reference(model)
    return {length: generated(network, prompt(length)) for length in LENGTHS}


def drafts(right: tuple[int, ...], seed: int) -> dict[str, tuple[int, ...]]:
    """Right, wrong everywhere, wrong from each place on, wrong in one place, and random ones."""
    low, high = ROWS - BINS, ROWS
    wrong = tuple(low + (token - low + 3) % BINS for token in right)
    random = torch.randint(low, high, (COUNT,), generator=torch.Generator().manual_seed(seed)).tolist()
    partial = {f"right up to {k}": right[:k] + wrong[k:] for k in range(1, COUNT)}
    one = {"wrong at 2": right[:2] + wrong[2:3] + right[3:]}
    return {
        "right": right,
        "wrong": wrong,
        **partial,
        **one,
        "random": tuple(random),
        "foreign": (5,) * COUNT,
    }


@pytest.mark.parametrize("redraft", ["keep", "jacobi"])
def test_no_token_differs_from_generate(
    model: OpenVLA, expected: dict[int, tuple[int, ...]], redraft: Any
) -> None:
    """720 cases for each way of redrafting, 0 mismatches; one decoder for all of them, so that its cache is stale."""
    decoder = ActionDecoder(model, COUNT, redraft=redraft)
    cases = 0
    for length, right in expected.items():
        plain = decoder.decode_embeddings(prompt(length))
        assert plain.token_ids == right
        assert plain.passes == COUNT
        for kind, draft in drafts(right, length).items():
            told = decoder.decode_embeddings(prompt(length), draft)
            assert told.token_ids == right, (length, kind)
            assert told.passes <= COUNT
            assert told.log_probabilities == pytest.approx(plain.log_probabilities, abs=1e-4)
            cases += 1
    assert cases == 60 * 11


def test_right_drafts_take_one_pass_and_a_wrong_one_as_many_as_it_spoils(
    model: OpenVLA, expected: dict[int, tuple[int, ...]]
) -> None:
    decoder = ActionDecoder(model, COUNT)
    right = expected[20]
    passes = {
        kind: decoder.decode_embeddings(prompt(20), draft).passes for kind, draft in drafts(right, 20).items()
    }
    assert passes["right"] == passes["right up to 6"] == 1  # the seventh is only read out
    assert passes["wrong at 2"] == 2
    assert passes["wrong"] == COUNT
    assert passes["right up to 3"] == COUNT - 3


def test_what_the_cache_holds_makes_no_difference(
    model: OpenVLA, expected: dict[int, tuple[int, ...]]
) -> None:
    decoder = ActionDecoder(model, COUNT)
    decoder.decode_embeddings(prompt(68))
    for length in (11, 40, 12):
        for poison in (1e9, float("nan")):
            poisoned(decoder, poison)
            right = expected[length]
            wrong = drafts(right, length)["wrong"]
            assert decoder.decode_embeddings(prompt(length)).token_ids == right
            assert decoder.decode_embeddings(prompt(length), wrong).token_ids == right


@torch.inference_mode()
def poisoned(decoder: ActionDecoder, value: float) -> None:
    decoder._keys.fill_(value)
    decoder._values.fill_(value)


def images(count: int) -> Tensor:
    return torch.randn(count, 3, 16, 16, generator=torch.Generator().manual_seed(count))


def sentences(count: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(100 + count)
    lengths = torch.randint(3, 20, (count,), generator=generator).tolist()
    return [torch.randint(1, ROWS - BINS, (1, length), generator=generator) for length in lengths]


@pytest.mark.parametrize("count", [1, 2, 5, 8])
def test_every_row_of_a_batch_is_what_it_is_alone(model: OpenVLA, count: int) -> None:
    decoder, prompts, pixels = ActionDecoder(model, COUNT), sentences(count), images(count)
    alone = [decoder.decode(one, pixels[row : row + 1]) for row, one in enumerate(prompts)]
    plain = [greedy_tokens(model, one, pixels[row : row + 1], COUNT) for row, one in enumerate(prompts)]
    decoder.decode_batch(sentences(8), images(8))
    poisoned(decoder, 1e9)
    together = decoder.decode_batch(prompts, pixels)
    for row in range(count):
        assert together[row].token_ids == alone[row].token_ids == plain[row].token_ids
        assert together[row].entropies == pytest.approx(plain[row].entropies, abs=1e-4)


def test_grouped_keys_and_free_decoding(model: OpenVLA) -> None:
    grouped = made(replace(TEXT, num_key_value_heads=2), seed=1)
    network = reference(grouped)
    for constrain in (True, False):
        decoder = ActionDecoder(grouped, COUNT, constrain_actions=constrain)
        for length in (10, 33):
            right = generated(network, prompt(length))
            for draft in (None, right, *drafts(right, 3).values()):
                assert decoder.decode_embeddings(prompt(length), draft).token_ids == right


def test_free_decoding_ends_with_the_text(model: OpenVLA) -> None:
    settings = replace(model.configuration, eos_token_id=0)
    other = made(TEXT)
    other.configuration = settings
    pixels, ids = images(1), sentences(1)[0]
    tokens = greedy_tokens(other, ids, pixels, COUNT, constrain_actions=False).token_ids
    other.configuration = replace(settings, eos_token_id=tokens[3])
    stop = tokens.index(tokens[3]) + 1
    decoder = ActionDecoder(other, COUNT, constrain_actions=False)
    assert decoder.decode(ids, pixels).token_ids == tokens[:stop]
    assert decoder.decode(ids, pixels, draft=tokens).token_ids == tokens[:stop]
    assert decoder.decode_batch([ids], pixels)[0].token_ids == tokens[:stop]


def test_in_bf16_another_token_is_chosen_only_where_two_are_as_good(model: OpenVLA) -> None:
    """Teacher forcing through transformers: the reference prefers no other token by more than a few units in the last place."""
    half = made(TEXT).to(torch.bfloat16)
    network = reference(half)
    decoder = ActionDecoder(half, COUNT)
    off = 0
    for length in LENGTHS:
        embeddings = prompt(length, dtype=torch.bfloat16)
        told = decoder.decode_embeddings(embeddings, drafts((ROWS - 9,) * COUNT, length)["random"])
        read = torch.cat(
            [embeddings, half.language_model.model.embed_tokens(torch.tensor([told.token_ids[:-1]]))], 1
        )
        with torch.inference_mode():
            logits = network(inputs_embeds=read).logits[0, -COUNT:].float()
        best = logits.max(-1)
        chosen = logits[torch.arange(COUNT), torch.tensor(told.token_ids)]
        ulp = 2.0 ** (best.values.abs().log2().floor() - 7)
        assert ((best.values - chosen) <= MARGIN_ULPS * ulp).all()
        off += int((chosen < best.values).sum())
    assert off <= 0.05 * COUNT * len(LENGTHS)


def test_the_model_stays_usable_and_nothing_is_stored_twice(model: OpenVLA) -> None:
    other = made(TEXT)
    before = {name: tensor.clone() for name, tensor in other.state_dict().items()}
    decoder = ActionDecoder(other, COUNT)
    assert all(torch.equal(tensor, before[name]) for name, tensor in other.state_dict().items())
    first: Any = other.language_model.model.layers[0]
    joined = decoder._layers[0].queries_keys_values
    assert first.self_attn.q_proj.weight.data_ptr() == joined.data_ptr()
    ids, pixels = sentences(1)[0], images(1)
    assert (
        greedy_tokens(other, ids, pixels, COUNT).token_ids
        == greedy_tokens(model, ids, pixels, COUNT).token_ids
    )


def test_quantised_weights_are_left_to_the_plain_path(model: OpenVLA) -> None:
    assert can_decode(model)
    other = made(TEXT)

    class Packed(Tensor):
        pass

    layer: Any = other.language_model.model.layers[0]
    layer.mlp.down_proj.weight = torch.nn.Parameter(
        layer.mlp.down_proj.weight.data.as_subclass(Packed), requires_grad=False
    )
    assert not can_decode(other)


def least_s(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


def test_it_is_faster_than_generate() -> None:
    """A loose gate; `scripts/measure_latency.py` measures. The tiny model of docs/performance.md, one thread, CPU time."""
    text = LlamaConfiguration(32_064, 256, 688, 6, 4, 4)
    model = made(text, rows=32_000)
    network, decoder = reference(model), ActionDecoder(model, COUNT)
    embeddings = prompt(256, text)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        right = generated(network, embeddings)
        assert decoder.decode_embeddings(embeddings).token_ids == right
        works = {
            "generate": lambda: generated(network, embeddings),
            "sequential": lambda: decoder.decode_embeddings(embeddings),
            "one pass": lambda: decoder.decode_embeddings(embeddings, right),
        }
        best = {name: min(least_s(work) for _ in range(8)) for name, work in works.items()}
    finally:
        torch.set_num_threads(threads)
    assert best["generate"] > 1.3 * best["sequential"]
    assert best["generate"] > 1.7 * best["one pass"]
