"""The VLA that comes with the package: small, through openvla-7b's code path, and it does what the sentence says.

A quick version of `vla-benchmark suite=embedded`, whose figures are in docs/embedded.md.
"""

import json
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

from vla_runtime.commands import benchmark
from vla_runtime.commands.embedded_collecting import FIRST_SEED
from vla_runtime.errors import ConfigurationError, InvalidCheckpoint
from vla_runtime.policies.openvla import OpenVLAPolicy
from vla_runtime.types import Observation

FOLDER = Path(str(files("vla_runtime") / "checkpoints" / "embedded"))


def test_it_is_small_and_says_what_it_was_made_from() -> None:
    assert sum(file.stat().st_size for file in FOLDER.iterdir()) < 20e6
    told = json.loads((FOLDER / "training.json").read_text())
    assert told["first_seed_of_lessons"] == FIRST_SEED
    assert FIRST_SEED > benchmark.FIRST_SEED_NOT_FOR_RUNS  # runs and benchmarks cannot have its seeds
    assert told["frames"] > 10_000


def test_it_is_a_checkpoint_like_any_other() -> None:
    policy = OpenVLAPolicy("package:embedded")  # with the self-test
    told = policy.describe()
    assert policy.privileged is False
    assert told["random_weights"] is False
    assert told["unnorm_key"] == "embedded"


def test_drafts_change_no_token() -> None:
    """A slow drift of noise: some of the last action's tokens are right, and some are not."""
    plain, drafted = (OpenVLAPolicy("package:embedded", draft=draft) for draft in ("none", "previous"))
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 256, (224, 224, 3)).astype(np.float64)
    for step in range(12):
        picture += rng.normal(0.0, 4.0, picture.shape)
        seen = np.clip(picture, 0, 255).astype(np.uint8)
        observation = Observation({"front": seen}, None, "put the lemon in the blue bowl", 0.0, step)
        expected, found = plain.act(observation), drafted.act(observation)
        assert found.proposals[0].tokens is not None
        assert expected.proposals[0].tokens is not None
        assert found.proposals[0].tokens.ids == expected.proposals[0].tokens.ids


def test_drafts_are_refused_where_they_make_no_sense() -> None:
    with pytest.raises(ConfigurationError, match=r"policy\.draft=next: expected none or previous"):
        OpenVLAPolicy("package:embedded", draft="next")  # type: ignore[arg-type]


def test_another_name_is_refused() -> None:
    with pytest.raises(InvalidCheckpoint, match="package:embeded: not in the package; known: embedded"):
        OpenVLAPolicy("package:embeded")


def test_it_sees_and_listens(tmp_path: Path) -> None:
    settings = ["suite=embedded", "policy=embedded", "workers=1", "episodes=6", f"out={tmp_path}"]
    benchmark.main([*settings, "cases=[place_in,words,blank]"])
    lines = [json.loads(line) for line in (tmp_path / "results.jsonl").read_text().splitlines()[1:]]
    seeing = [line for line in lines if line["case"] != "blank"]
    assert len(seeing) == 12
    assert all(line["first_lifted"] in (None, line["target"]) for line in seeing)  # never another thing
    assert sum(line["first_lifted"] is not None for line in seeing) >= 8
    assert (
        sum(line["success_at_end"] for line in seeing) >= 7
    )  # at the rate in docs/embedded.md, less in one of 200 runs
    assert not any(line["success_at_end"] for line in lines if line["case"] == "blank")
