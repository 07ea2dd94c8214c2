"""The whole recipe at a toy's size: collect, train, drive and correct, score, anneal; and going on with what is there."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hydra.errors import InstantiationException

from vla_runtime.commands import embedded_collecting, run_episode
from vla_runtime.commands.command_line import user_message
from vla_runtime.commands.embedded_collecting import FIRST_SEED
from vla_runtime.commands.embedded_scoring import FIRST_SCORED_SEED
from vla_runtime.commands.train_embedded import main
from vla_runtime.errors import ConfigurationError
from vla_runtime.policies.openvla import OpenVLAPolicy
from vla_runtime.pretraining import collecting
from vla_runtime.pretraining.collecting import collect

SMALL = [
    "workers=1",
    "first_frames=30",
    "round_frames=15",
    "shard_frames=15",
    "rounds=1",
    "first_steps=2",
    "round_steps=1",
    "last_steps=2",
    "batch_size=4",
    "score_episodes=1",
    "environment.env.time_limit_s=2.0",
]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("embedded")
    assert main([*SMALL, f"out={out}"]) == 0
    return out


def test_every_round_leaves_a_checkpoint_and_a_score(trained: Path) -> None:
    names = sorted(path.name for path in (trained / "checkpoints").iterdir())
    assert names == ["final", "round_00", "round_01"]
    scores = [json.loads(line) for line in (trained / "scores.jsonl").read_text().splitlines()]
    assert [score["checkpoint"] for score in scores] == ["round_00", "round_01", "final"]
    steps = [json.loads(line)["step"] for line in (trained / "metrics.jsonl").read_text().splitlines()]
    assert steps == [1, 2, 3, 4, 5]


def test_the_checkpoint_says_what_it_was_made_from(trained: Path) -> None:
    told = json.loads((trained / "checkpoints" / "final" / "training.json").read_text())
    shards = [np.load(path)["episodes"] for path in (trained / "frames").rglob("*.npz")]
    assert told["frames"] == sum(map(len, shards)) >= 30 + 15
    assert told["episodes"] == len({int(seed) for shard in shards for seed in shard})
    assert told["steps"] == 5
    assert told["first_seed_of_lessons"] == FIRST_SEED
    assert [score["checkpoint"] for score in told["scores"]] == ["round_00", "round_01", "final"]
    assert told["settings"]["tasks"] == {"place_in": 1.0}
    assert "out" not in told["settings"]  # no paths of the machine that trained it
    assert (trained / "training.png").read_bytes()[:4] == b"\x89PNG"


def test_what_is_learnt_from_is_never_scored_and_never_run(trained: Path) -> None:
    """Runs and benchmarks count from 0, scores from 2**29, lessons from 2**30."""
    seeds = [int(seed) for path in (trained / "frames").rglob("*.npz") for seed in np.load(path)["episodes"]]
    assert min(seeds) >= FIRST_SEED > FIRST_SCORED_SEED + 1_000_000 > 1_000_000
    assert len({*seeds}) >= 3


def test_nothing_is_done_twice(trained: Path) -> None:
    def times() -> dict[Path, int]:
        files = [path for path in trained.rglob("*") if path.is_file() and path.suffix != ".png"]
        return {path: path.stat().st_mtime_ns for path in files}

    before = times()
    assert main([*SMALL, f"out={trained}"]) == 0
    assert times() == before


def test_the_checkpoint_is_small_and_runs(trained: Path) -> None:
    policy = OpenVLAPolicy(str(trained / "checkpoints" / "final"))
    size = (trained / "checkpoints" / "final" / "model.safetensors").stat().st_size
    assert size < 20e6
    assert policy.describe()["random_weights"] is False


def test_tasks_without_shares_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="tasks: expected shares by task"):
        main([f"out={tmp_path}", "tasks.place_in=0"])


NO_OTHERS = ["looks.shades.share=0", "looks.paint.share=0"]


@pytest.mark.parametrize(
    "looks",
    [["looks.usual.share=-1"], ["looks.usual.share=0", *NO_OTHERS], ["+looks.own.camera=easy"]],
)
def test_looks_without_shares_are_refused(tmp_path: Path, looks: list[str]) -> None:
    with pytest.raises(ConfigurationError, match="looks: expected a share of each"):
        main([f"out={tmp_path}", *looks])


def test_an_unknown_level_of_a_look_is_refused_before_anything_is_collected(tmp_path: Path) -> None:
    with pytest.raises(InstantiationException) as refused:
        main([f"out={tmp_path / 'new'}", "looks.paint.camera=bright"])
    assert user_message(refused.value) == "variation camera 'bright': expected none, easy or hard"
    assert not (tmp_path / "new").exists()


def test_an_episode_has_one_of_the_looks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With one look alone its axes vary, and nothing else does."""
    seen: list[dict[str, str]] = []

    def note(simulator: Any, make_lessons: Any, writer: Any, seed: int, driving: Any, policy: Any) -> bool:
        seen.append(dict(simulator.variation.levels()))
        return collect(simulator, make_lessons, writer, seed, driving, policy)

    monkeypatch.setattr(collecting, "collect", note)
    monkeypatch.setattr(embedded_collecting, "_environments", {})
    settings = [*SMALL, "looks.usual.share=0", "looks.shades.share=0"]
    embedded_collecting._collect_shard(settings, str(tmp_path), 0, 0, None)
    paint = {"camera": "easy", "light": "easy", "textures": "easy", "robot": "hard"}
    assert seen
    assert all(levels == paint for levels in seen)


def test_guards_know_its_tokens(trained: Path, tmp_path: Path) -> None:
    checkpoint = trained / "checkpoints" / "final"
    settings = ["policy=openvla", f"policy.checkpoint={checkpoint}", "recorder=none", f"out={tmp_path}"]
    run_episode.main([*settings, "environment.env.time_limit_s=1.0"])
    result = json.loads((tmp_path / "result.json").read_text())
    assert result["steps"] == 5
    assert "token_validity" not in result["interventions"]
