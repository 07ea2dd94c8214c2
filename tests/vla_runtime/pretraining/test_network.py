"""Several instructions behind one picture give what each gives alone, through the code that runs a checkpoint."""

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.vla_runtime.pretraining.conftest import CLASSES, STATISTICS, WORDS, make_frames
from vla_runtime.actions.openvla_tokenizer import OpenVLATokenizer
from vla_runtime.actions.statistics import ActionStatistics
from vla_runtime.models.openvla.checkpoint import load_model
from vla_runtime.models.openvla.configuration import read_json
from vla_runtime.models.openvla.images import ImagePreprocessing
from vla_runtime.models.openvla.model import OpenVLA
from vla_runtime.models.openvla.prompts import PromptTokenizer, write_prompt
from vla_runtime.pretraining.batches import BatchMaker
from vla_runtime.pretraining.network import NOWHERE, TrainedNetwork, Weights, branched_attention
from vla_runtime.pretraining.shards import Frames


@pytest.fixture(scope="module")
def model(small: Path) -> OpenVLA:
    return load_model(small, dtype=torch.float32).model


def maker(
    small: Path, model: OpenVLA, jitter: float = 0.0, frames: Frames | None = None, instructions: int = 3
) -> BatchMaker:
    settings = model.configuration
    preprocessing = ImagePreprocessing.from_mapping(read_json(small / "preprocessor_config.json"), "")
    return BatchMaker(
        frames or make_frames(),
        PromptTokenizer(small, settings),
        OpenVLATokenizer(settings.vocab_size),
        ActionStatistics.from_mapping(STATISTICS["action"]),
        preprocessing,
        CLASSES,
        settings.towers[0].image_size // settings.towers[0].patch_size,
        settings.bare_space_id,
        instructions=instructions,
        jitter=jitter,
    )


def test_a_branch_is_what_it_would_be_alone(small: Path, model: OpenVLA) -> None:
    """The loss of a packed batch against the plain forward, example by example."""
    batch = maker(small, model).make(np.array([0, 1]), np.random.default_rng(0))
    network = TrainedNetwork(model, len(CLASSES.kinds), len(CLASSES.colours), Weights(), spread_bins=1e-3)
    with torch.inference_mode():
        packed = network(batch, torch.ones(7))["action"]
        losses = []
        for row in range(2):
            for branch in range(3):
                start = int(batch.starts[row, branch])
                ids = torch.cat([batch.prefix, batch.branches[row, branch, : start + 7]])[None]
                wanted = batch.actions[row, branch]
                logits = model(ids, batch.pixel_values[row][None]).logits[0, -7:]
                losses.append(torch.nn.functional.cross_entropy(logits, wanted))
    assert float(packed) == pytest.approx(float(torch.stack(losses).mean()), rel=1e-5)


def test_multiplying_in_bf16_changes_little(small: Path, model: OpenVLA) -> None:
    batch = maker(small, model).make(np.array([0, 1]), np.random.default_rng(0))
    network = TrainedNetwork(model, len(CLASSES.kinds), len(CLASSES.colours), Weights())
    halved = TrainedNetwork(model, len(CLASSES.kinds), len(CLASSES.colours), Weights(), half=True)
    halved.load_state_dict(network.state_dict())
    with torch.no_grad():
        whole, half = (each(batch, torch.ones(7)) for each in (network, halved))
    assert half["loss"].dtype == torch.float32
    assert float(half["loss"]) == pytest.approx(float(whole["loss"]), rel=0.01)
    assert float(half["loss"]) != float(whole["loss"])


def test_the_prompt_is_what_the_policy_writes(small: Path, model: OpenVLA) -> None:
    made = maker(small, model).make(np.array([0]), np.random.default_rng(0))
    frames = make_frames()
    text = PromptTokenizer(small, model.configuration)
    known = {
        (*text.encode(write_prompt(sentence, "openvla"))[0].tolist(), model.configuration.bare_space_id)
        for sentence in frames.sentences
    }
    for branch in range(3):
        start = int(made.starts[0, branch])
        assert (*made.prefix.tolist(), *made.branches[0, branch, : start + 1].tolist()) in known


def test_attention_of_branches_is_that_of_a_mask() -> None:
    torch.manual_seed(0)
    shared, branches, length = 5, 3, 4
    count = shared + branches * length
    queries, keys, values = torch.randn(3, 2, 2, count, 8)
    mask = torch.zeros(count, count, dtype=torch.bool)
    mask[:, :shared] = True
    for branch in range(branches):
        own = slice(shared + branch * length, shared + (branch + 1) * length)
        mask[own, own] = True
    mask = mask.tril()
    expected = torch.nn.functional.scaled_dot_product_attention(queries, keys, values, attn_mask=mask)
    found = branched_attention(queries, keys, values, shared, branches, length)
    assert torch.allclose(found, expected, atol=1e-5)


def test_what_is_in_the_patches(small: Path, model: OpenVLA) -> None:
    """The cube's centre is in the first patch, the bowl's in the last one of the last row; the lemon is out of sight."""
    batch = maker(small, model).make(np.array([0]), np.random.default_rng(0))
    side = round(model.configuration.patches**0.5)
    kinds = batch.patch_kinds[0].view(side, side)
    assert CLASSES.kinds[kinds[0, 0] - 1] == "cube"
    assert CLASSES.kinds[kinds[-1, -1] - 1] == "bowl"
    assert CLASSES.colours[batch.patch_colours[0].view(side, side)[-1, -1] - 1] == "blue"
    at = batch.patch_positions[0].view(side, side, 3)
    assert at[-1, -1].tolist() == pytest.approx([0.3, 0.2, 0.0])
    assert at[0, -1].tolist() == [0.0, 0.0, 0.0]
    assert batch.tool_position[0].tolist() == pytest.approx([0.3, 0.0, 0.2])
    assert int(batch.tool_patch[0]) == side * (side // 2) + side // 2
    targets = set(batch.target_patch[0].tolist())
    assert targets <= {0, NOWHERE}
    assert set(batch.destination_patch[0].tolist()) == {side * side - 1}


def test_distances_are_those_from_the_tool(small: Path, model: OpenVLA) -> None:
    batch = maker(small, model).make(np.array([0]), np.random.default_rng(0))
    cube = batch.target_patch[0] == 0
    assert batch.relative[0, cube][0].tolist() == pytest.approx([0.1, 0.0, -0.2, 0.0, 0.2, -0.2], abs=1e-6)
    assert bool(batch.relative_known.bool().all())


def test_what_is_at_hand_is_asked_for_more_often(small: Path, model: OpenVLA) -> None:
    """In frame 2 the tool is over the lemon."""
    frames = make_frames()
    frames.columns["tool"][2] = (0.5, 0.1, 0.1)
    one = maker(small, model, frames=frames, instructions=1)
    lemon = [
        int(one.make(np.array([2]), np.random.default_rng(seed)).target_patch[0, 0]) == NOWHERE
        for seed in range(200)
    ]
    assert 0.75 < np.mean(lemon) < 0.92  # 1 - 0.6**2 / 2 = 0.82
    other = [
        int(one.make(np.array([0]), np.random.default_rng(seed)).target_patch[0, 0]) == NOWHERE
        for seed in range(200)
    ]
    assert 0.4 < np.mean(other) < 0.6


def test_colours_are_jittered_and_not_else(small: Path, model: OpenVLA) -> None:
    plain, changed = (
        maker(small, model, jitter).make(np.array([0]), np.random.default_rng(0)).pixel_values
        for jitter in (0.0, 0.2)
    )
    assert not torch.equal(plain, changed)
    assert torch.equal(plain, maker(small, model).make(np.array([0]), np.random.default_rng(5)).pixel_values)


def test_words_are_all_known(small: Path, model: OpenVLA) -> None:
    text = PromptTokenizer(small, model.configuration)
    ids = text.encode(write_prompt(" ".join(WORDS), "openvla"))[0].tolist()
    assert len(ids) == len(WORDS) + 3  # begin, and the two fixed parts of the prompt
    assert 0 not in ids
    assert 0 not in text.encode(write_prompt("grab that thingamajig, please!", "openvla"))[0].tolist()
