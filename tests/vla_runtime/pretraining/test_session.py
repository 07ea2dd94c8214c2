"""A training goes on after a break as if there had been none, learns, and leaves a checkpoint that runs."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.vla_runtime.pretraining.conftest import CLASSES, SIZE, write_shard
from vla_runtime.errors import InvalidRecord
from vla_runtime.policies.openvla import OpenVLAPolicy
from vla_runtime.pretraining.network import Weights
from vla_runtime.pretraining.session import TrainingSettings, train_stretch
from vla_runtime.pretraining.trainer import Rates, Stretch
from vla_runtime.types import Observation

STEPS = 30


def settings(folder: Path) -> TrainingSettings:
    frames = folder / "frames" / "round_00"
    frames.mkdir(parents=True, exist_ok=True)
    if not (frames / "shard_0000.npz").exists():
        write_shard(frames / "shard_0000.npz", frames=4)
    return TrainingSettings(
        folder, CLASSES, SIZE, Rates(rate=3e-3, warmup=5, average=0.5), Weights(), 4, 2, 3.0, 10, 0
    )


def losses(folder: Path) -> dict[int, float]:
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return {line["step"]: line["action"] for line in lines}


def quiet(step: int, numbers: object) -> None:
    pass


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    train_stretch(settings(folder), Stretch(0, STEPS), folder / "checkpoint", 0, 0, quiet)
    return folder


def test_it_learns(trained: Path) -> None:
    found = losses(trained)
    assert found[STEPS] < 0.6 * found[1]


def test_a_break_changes_nothing(trained: Path, tmp_path: Path) -> None:
    """The state of step 20 is the last one before a kill at step 27."""

    def killed(step: int, numbers: object) -> None:
        if step == 27:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_stretch(settings(tmp_path), Stretch(0, STEPS), tmp_path / "checkpoint", 0, 0, killed)
    assert not (tmp_path / "checkpoint").exists()
    train_stretch(settings(tmp_path), Stretch(0, STEPS), tmp_path / "checkpoint", 0, 0, quiet)
    assert losses(tmp_path) == losses(trained)
    assert (tmp_path / "checkpoint" / "model.safetensors").read_bytes() == (
        trained / "checkpoint" / "model.safetensors"
    ).read_bytes()


def test_a_damaged_state_is_one_line(trained: Path, tmp_path: Path) -> None:
    made = settings(tmp_path)
    train_stretch(made, Stretch(0, 10), tmp_path / "checkpoint", 0, 0, quiet)
    (tmp_path / "state" / "average.safetensors").write_bytes(b"nothing")
    with pytest.raises(InvalidRecord, match="not a state of this training"):
        train_stretch(made, Stretch(10, 20), tmp_path / "other", 0, 0, quiet)


def test_the_checkpoint_runs_through_the_usual_policy(trained: Path) -> None:
    """It is loaded strictly, passes the start-up self-test, and acts."""
    policy = OpenVLAPolicy(str(trained / "checkpoint"))
    image = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    seen = Observation({"front": image}, None, "put the red cube in the blue bowl", 0.0, 0)
    (proposal,) = policy.act(seen).proposals
    assert proposal.action is not None
    assert len(proposal.action.values) == 7


def test_the_rate_falls_to_zero_over_the_last_stretch() -> None:
    assert Stretch(0, 100).factor(99) == 1.0
    last = Stretch(100, 200, last=True)
    assert [round(last.factor(step), 2) for step in (100, 150, 200)] == [1.0, 0.5, 0.0]


def test_weights_are_averaged(trained: Path) -> None:
    from safetensors.torch import load_file

    state = trained / "state"
    weights, average = load_file(state / "weights.safetensors"), load_file(state / "average.safetensors")
    name = "model.language_model.lm_head.weight"
    assert not torch.equal(weights[name], average[name])
    assert torch.allclose(weights[name], average[name], atol=0.05)
