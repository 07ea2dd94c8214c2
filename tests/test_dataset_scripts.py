"""The scripts of data sets, in their quick versions: what takes minutes is run by hand (docs/log.md)."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from vla_runtime.commands.dataset import main as dataset_command
from vla_runtime.commands.run_episode import main as run_command
from vla_runtime.datasets import open_dataset
from vla_runtime.datasets.verify import verify
from vla_runtime.evaluation.kills import Survey, survive

ROOT = Path(__file__).parents[1]
SMALL = [
    f"environment.env.cameras.{camera}.{side}=32"
    for camera in ("front", "wrist")
    for side in ("width", "height")
]


def script(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "scripts" / f"{name}.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)


def test_runs_become_one_data_set(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    settings = ["policy=expert", "recorder=lerobot", "environment=tabletop_wrist", *SMALL]
    root = tmp_path / "all"
    assert run_command([*settings, "episodes=2", f"out={tmp_path / 'one'}"]) == 0
    assert run_command([*settings, "seed=5", f"out={tmp_path / 'two'}", f"recorder.lerobot.root={root}"]) == 0
    assert verify(tmp_path / "one/lerobot", deep=True).wrong == ()
    assert (
        dataset_command(["merge", str(tmp_path / "one/lerobot"), str(root), f"out={tmp_path / 'both'}"]) == 0
    )
    both = open_dataset(tmp_path / "both")
    assert (both.fps, both.cameras, both.index.robot_type) == (5.0, ("front", "wrist"), "panda")
    assert [note["seed"] for note in both.notes()] == [0, 1, 5]
    for number, result in enumerate(("one/episode_000000", "one/episode_000001", "two")):
        content = json.loads((tmp_path / result / "result.json").read_text())
        start, stop = both.episode_bounds[number]
        lines = (tmp_path / result / "steps.jsonl").read_text().splitlines()
        assert stop - start == len(lines) == content["steps"]
        assert both.notes()[number]["success"] == content["success_at_end"]
        executed = [json.loads(line)["executed_action"] for line in lines]
        np.testing.assert_allclose(both.actions(start, stop), executed, atol=1e-6)


def test_a_recording_that_is_killed_loses_nothing(tmp_path: Path) -> None:
    survey = Survey()
    for survey in survive(tmp_path, kills=5, seed=1, longest_s=1.5):
        assert survey.wrong == []
    assert survey.kills == 5
    assert survey.reported + survey.unreported > 0


def test_codecs_are_measured(tmp_path: Path) -> None:
    done = script("measure_recording", "episodes=1", "rounds=1", "codecs=[libx264]", f"out={tmp_path}")
    assert done.returncode == 0, done.stderr
    rows = json.loads((tmp_path / "result.json").read_text())["codecs"]
    assert rows["libx264, group of 2"]["decodings"] <= 2.0
    assert rows["libx264, group of 10"]["decodings"] > 2.0
    assert rows["libx264, group of 2"]["error"] < 5.0


def test_benchmarks_survive_kills(tmp_path: Path) -> None:
    """The whole of it, with Ray's workers, is `python scripts/kill_benchmark.py`."""
    done = script("kill_benchmark", "kills=2", "episodes=4", "victims=[runner,worker]", f"out={tmp_path}")
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads((tmp_path / "result.json").read_text())["wrong"] == []


@pytest.mark.parametrize(
    ("name", "argument", "said"),
    [
        ("dataset", "verfy", "vla-dataset verfy: expected one of info, verify, repair, merge"),
        ("kill_recording", "kills=0", "kills=0: expected a whole number from 1"),
        ("kill_benchmark", "kills=0", "kills=0: expected a whole number from 1"),
        ("kill_benchmark", "victims=[cat]", "victims=['cat']: expected some of runner, worker, ray_worker"),
        ("measure_recording", "codecs=[h265]", "codec h265: PyAV has no such encoder"),
        ("check_lerobot", "frames=3", "venv is missing; expected venv=FOLDER"),
    ],
)
def test_mistakes_get_one_clear_line(name: str, argument: str, said: str) -> None:
    done = script(name, argument)
    assert done.returncode == 2, done.stdout + done.stderr
    assert done.stderr.startswith("error: ")
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1
