"""Collecting demonstrations: the same data set whatever the number of workers, and nothing finished is lost."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from vla_runtime.commands.collect_demos import main
from vla_runtime.commands.command_line import user_message
from vla_runtime.datasets import LeRobotDataset, open_dataset
from vla_runtime.errors import ConfigurationError, VLARuntimeError
from vla_runtime.evaluation.collection import LOG, Attempt, CollectionLog

CAMERA = "environment.env.cameras.front"
QUICK = ["task=pick", "task.distractors=0", f"{CAMERA}.width=32", f"{CAMERA}.height=32"]


def content(dataset: LeRobotDataset) -> tuple[np.ndarray, list[str], list[tuple[int, int]], int]:
    """Everything that is to be the same: actions, sentences, bounds, and a sum over all pixels."""
    frames = [dataset.frame(index, dataset.cameras) for index in range(len(dataset))]
    pixels = sum(int(frame.images["front"].sum()) for frame in frames)
    return (
        dataset.actions(0, len(dataset)),
        [f.instruction for f in frames],
        list(dataset.episode_bounds),
        pixels,
    )


def attempts(folder: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (folder / LOG).read_text().splitlines()[1:]]


def test_two_workers_make_the_same_data_set_as_one_and_it_goes_on(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    assert main([*QUICK, "episodes=3", "workers=1", f"out={one}"]) == 0
    assert main([*QUICK, "episodes=1", "workers=2", f"out={two}"]) == 0
    assert main([*QUICK, "episodes=3", "workers=2", f"out={two}"]) == 0
    said = capfd.readouterr()
    assert "3 episodes with" in said.out
    assert "leaked" not in said.err
    first, second = content(open_dataset(one)), content(open_dataset(two))
    assert (first[0] == second[0]).all()
    assert first[1:] == second[1:]
    assert [attempt["seed"] for attempt in attempts(two)] == [0, 1, 2]
    assert not list(tmp_path.glob("*/.collecting"))


def test_frames_are_labelled_by_the_expert_while_somebody_else_drives(tmp_path: Path) -> None:
    zero = "policy.driver={_target_:vla_runtime.policies.baselines.ZeroPolicy}"
    settings = [*QUICK, zero, "policy.expert_share=0.0", "environment.env.time_limit_s=1.0", "workers=1"]
    out = tmp_path / "driven"
    assert main([*settings, "episodes=1", "only_success=false", f"out={out}"]) == 0
    labels = open_dataset(out).actions(0, 5)
    assert np.abs(labels[:, :3]).max() > 0.02  # the expert would go somewhere
    assert np.abs(np.diff(labels[:, :3], axis=0)).max() < 1e-3  # but the arm stays, so it says the same again


def test_episodes_without_success_are_left_out_and_in_the_end_it_gives_up(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = [*QUICK, "environment.env.time_limit_s=0.4", "workers=1", "give_up_after=3"]
    assert main([*settings, "episodes=2", f"out={tmp_path}"]) == 1
    assert "gave up: 3 attempts in a row without an episode to keep" in capsys.readouterr().out
    assert [attempt["episode_index"] for attempt in attempts(tmp_path)] == [None] * 3
    assert not (tmp_path / "meta" / "info.json").exists()


def test_a_kill_loses_no_finished_episode_and_repeats_none(tmp_path: Path) -> None:
    arguments = [*QUICK, "workers=2", f"out={tmp_path}"]
    code = "from vla_runtime.commands.collect_demos import run; run()"
    command = [sys.executable, "-c", code, *arguments, "episodes=50"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not (tmp_path / LOG).exists() or len(attempts(tmp_path)) < 3:
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    finished = [attempt["seed"] for attempt in attempts(tmp_path)]
    total = len(finished) + 2
    assert main([*arguments, "workers=1", f"episodes={total}"]) == 0
    seeds = [attempt["seed"] for attempt in attempts(tmp_path)]
    assert seeds == list(range(len(seeds)))
    assert seeds[: len(finished)] == finished
    kept = [
        attempt["episode_index"] for attempt in attempts(tmp_path) if attempt["episode_index"] is not None
    ]
    assert kept == list(range(total))
    assert len(open_dataset(tmp_path).episode_bounds) == total


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["episodes=0"], "episodes=0: expected a whole number from 1"),
        (["workers=0"], "workers=0: expected a whole number from 1"),
        (["~environment.env.cameras.front"], "cameras is empty: expected at least one camera"),
        (["policy=demonstratr"], "did you mean 'demonstrator'"),
        (["policy.noise.share=2"], "noise.share=2"),
    ],
)
def test_bad_input_is_refused_in_one_line(tmp_path: Path, arguments: list[str], message: str) -> None:
    with pytest.raises(VLARuntimeError) as caught:
        main([*QUICK, "workers=1", *arguments, f"out={tmp_path / 'set'}"])
    said = user_message(caught.value)
    assert said is not None
    assert message in said
    assert not (tmp_path / "set" / "meta" / "info.json").exists()


def test_other_settings_are_refused(tmp_path: Path) -> None:
    CollectionLog(tmp_path, {"task": {"objects": 3}, "episodes": 5})
    CollectionLog(tmp_path, {"task": {"objects": 3}, "episodes": 9})
    with pytest.raises(
        ConfigurationError, match=r"task.objects=4: .* with task.objects=3; expected the same"
    ):
        CollectionLog(tmp_path, {"task": {"objects": 4}})


def test_a_line_that_was_cut_off_swallows_no_other(tmp_path: Path) -> None:
    log = CollectionLog(tmp_path, {"a": 1})
    log.add(Attempt(0, "finished"))
    with (tmp_path / LOG).open("a") as file:
        file.write('{"seed": 1, "sta')
    CollectionLog(tmp_path, {"a": 1}).add(Attempt(1, "finished", success=True, episode_index=0))
    again = CollectionLog(tmp_path, {"a": 1})
    assert [attempt.seed for attempt in again.attempts] == [0, 1]
    assert (again.kept, again.next_seed) == (1, 2)


def test_what_reached_the_data_set_before_a_kill_but_not_the_log_is_not_collected_again(
    tmp_path: Path,
) -> None:
    settings = [*QUICK, "workers=1", f"out={tmp_path}"]
    assert main([*settings, "episodes=2"]) == 0
    log = tmp_path / LOG
    log.write_text("".join(line + "\n" for line in log.read_text().splitlines()[:-1]))
    assert main([*settings, "episodes=3"]) == 0
    assert [(attempt["seed"], attempt["episode_index"]) for attempt in attempts(tmp_path)] == [
        (0, 0),
        (1, 1),
        (2, 2),
    ]
    assert len(open_dataset(tmp_path).episode_bounds) == 3
