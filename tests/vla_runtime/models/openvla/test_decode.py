"""Decoding: the cache changes nothing, constraining keeps to action tokens, and a blind model is found out."""

import math
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from vla_runtime.errors import InvalidCheckpoint
from vla_runtime.models.openvla.checkpoint import load_model
from vla_runtime.models.openvla.decode import greedy_tokens, prompt_with_space
from vla_runtime.models.openvla.images import ImagePreprocessing
from vla_runtime.models.openvla.model import OpenVLA
from vla_runtime.models.openvla.self_test import self_test

DATA = Path(__file__).parents[3] / "data" / "openvla"
PREPROCESSING = ImagePreprocessing("resize-naive", 56, ((0.5,) * 3,) * 2, ((0.5,) * 3,) * 2)
PROMPT = torch.tensor([[1, 40, 50, 60, 29871]])


@pytest.fixture
def fused() -> OpenVLA:
    return load_model(DATA / "fused", dtype=torch.float32).model


def without_cache(
    model: OpenVLA, ids: torch.Tensor, pixels: torch.Tensor, count: int, *, constrain: bool
) -> list[int]:
    """Greedy decoding by full passes."""
    for _ in range(count):
        logits = model(ids, pixels).logits[0, -1].clone()
        if constrain:
            logits[:31_744] = -math.inf
            logits[32_000:] = -math.inf
        ids = torch.cat([ids, logits.argmax()[None, None]], dim=1)
    return ids[0, -count:].tolist()


@pytest.mark.parametrize("constrain", [True, False])
@pytest.mark.parametrize("folder", ["fused", "single_siglip"])
def test_the_cache_changes_nothing(folder: str, constrain: bool) -> None:
    model = load_model(DATA / folder, dtype=torch.float32).model
    inputs = load_file(DATA / folder / "inputs.safetensors")
    prompt, pixels = prompt_with_space(inputs["predict0.input_ids"]), inputs["predict0.pixel_values"]
    tokens = greedy_tokens(model, prompt, pixels, 7, constrain_actions=constrain)
    assert list(tokens.token_ids) == without_cache(model, prompt, pixels, 7, constrain=constrain)


def test_constrained_tokens_are_action_tokens_where_free_ones_are_words() -> None:
    """single_siglip was made to write words."""
    model = load_model(DATA / "single_siglip", dtype=torch.float32).model
    inputs = load_file(DATA / "single_siglip" / "inputs.safetensors")
    prompt, pixels = prompt_with_space(inputs["predict0.input_ids"]), inputs["predict0.pixel_values"]
    free = greedy_tokens(model, prompt, pixels, 7, constrain_actions=False).token_ids
    kept = greedy_tokens(model, prompt, pixels, 7).token_ids
    assert any(not 31_744 <= token < 32_000 for token in free)
    assert all(31_744 <= token < 32_000 for token in kept)


def test_probabilities_are_over_the_choices(fused: OpenVLA) -> None:
    pixels = torch.zeros(1, 6, 56, 56)
    tokens = greedy_tokens(fused, PROMPT, pixels, 7)
    logits = fused(PROMPT, pixels).logits[0, -1, 31_744:32_000]
    log_p = torch.log_softmax(logits, dim=-1)
    assert tokens.log_probabilities[0] == pytest.approx(float(log_p.max()), abs=1e-5)
    assert tokens.entropies[0] == pytest.approx(float(-(log_p.exp() * log_p).sum()), abs=1e-4)
    assert all(0 <= entropy <= math.log(256) + 1e-6 for entropy in tokens.entropies)


def test_black_white_and_noise_give_different_actions_features_and_logits(fused: OpenVLA) -> None:
    found = self_test(fused, PREPROCESSING, PROMPT)
    assert set(found) == {"tower_0", "tower_1", "logits"}
    assert min(found.values()) > 1e-3


def test_a_model_that_ignores_its_image_is_refused(fused: OpenVLA, monkeypatch: pytest.MonkeyPatch) -> None:
    with torch.no_grad():
        fused.projector.fc3.weight.zero_()
    with pytest.raises(InvalidCheckpoint, match="logits do not depend on the image"):
        self_test(fused, PREPROCESSING, PROMPT)


def test_a_tower_that_is_blind_is_named(fused: OpenVLA) -> None:
    with torch.no_grad():
        fused.get_parameter("vision_backbone.fused_featurizer.patch_embed.proj.weight").zero_()
    with pytest.raises(InvalidCheckpoint, match="tower_1 do not depend"):
        self_test(fused, PREPROCESSING, PROMPT)


def test_a_tower_that_is_not_called_is_found_out(fused: OpenVLA, monkeypatch: pytest.MonkeyPatch) -> None:
    """The fault of old code on new transformers: well-formed answers, vision never run."""
    features = fused.vision_backbone(torch.zeros(1, 6, 56, 56))
    monkeypatch.setattr(fused.vision_backbone, "forward", lambda pixels: features)
    with pytest.raises(InvalidCheckpoint, match="towers were called"):
        self_test(fused, PREPROCESSING, PROMPT)


def test_an_image_size_that_the_towers_do_not_take_is_refused(fused: OpenVLA) -> None:
    other = ImagePreprocessing("resize-naive", 42, PREPROCESSING.means, PREPROCESSING.stds)
    with pytest.raises(InvalidCheckpoint, match="the towers take"):
        self_test(fused, other, PROMPT)
