"""The scripts that prove the guards, in their quick versions: what takes minutes is run by hand (docs/log.md)."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def script(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "scripts" / f"{name}.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)


def test_fuzzing_finds_nothing_and_counts_interventions(tmp_path: Path) -> None:
    done = script("fuzz_guards", "actions=1500", "workers=1", f"out={tmp_path}")
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "result.json").read_text())["tally"]
    assert (found["actions"], found["violations"], found["exceptions"]) == (1500, {}, {})
    assert found["interventions"]["motion"] > 0


def test_unsafe_policies_enter_no_zone_and_press_on_nothing(tmp_path: Path) -> None:
    done = script("measure_safety", "episodes=2", "workers=1", f"out={tmp_path}")
    assert done.returncode == 0, done.stdout
    rows = json.loads((tmp_path / "result.json").read_text())["summary"]
    assert {policy: row["episodes"] for policy, row in rows.items()} == dict.fromkeys(
        ("random", "constant", "seeker", "presser"), 2
    )
    assert all(row["interventions"] for row in rows.values())


def test_the_watch_sees_a_zone_being_entered_without_guards(tmp_path: Path) -> None:
    """The measurement can fail: without the keep-out guard the seeker gets in."""
    done = script(
        "measure_safety",
        "episodes=2",
        "workers=1",
        f"out={tmp_path}",
        "overrides=['~guards.keep_out']",
    )
    assert done.returncode == 1, done.stdout + done.stderr
    rows = json.loads((tmp_path / "result.json").read_text())["summary"]
    assert rows["seeker"]["entries"] > 0


def test_the_latency_sweep_is_equal_to_the_bit_and_goes_on_where_it_was(tmp_path: Path) -> None:
    settings = [
        "episodes=2",
        "modes=[sync_hold,anchored]",
        "tasks=[pick_moving]",
        "latencies_ms=[0,300]",
        "workers=1",
    ]
    first = script("latency_sweep", *settings, f"out={tmp_path / 'first'}")
    assert first.returncode == 0, first.stderr
    cells = (tmp_path / "first" / "cells.jsonl").read_text()
    (tmp_path / "second").mkdir()
    cut = cells.splitlines()[0] + '\n{"key": "cut off'
    (tmp_path / "second" / "cells.jsonl").write_text(cut)
    second = script("latency_sweep", *settings, f"out={tmp_path / 'second'}")
    assert second.returncode == 0, second.stderr
    digests = [line for run in (first, second) for line in run.stdout.splitlines() if "digest" in line]
    assert len(digests) == 2
    assert digests[0] == digests[1]
    assert sorted(cells.splitlines()) == sorted(
        (tmp_path / "second" / "cells.jsonl").read_text().splitlines()
    )


@pytest.mark.parametrize(
    ("name", "argument", "said"),
    [
        ("latency_sweep", "modes=[anchord]", "modes: unknown 'anchord'; known: pause, sync_hold"),
        ("latency_sweep", "latencies_ms=[-5]", "latencies_ms=[-5.0]: expected numbers from 0 to 10000 [ms]"),
        ("fuzz_guards", "actions=0", "actions=0: expected a whole number from 1"),
        ("measure_safety", "episodes=0", "episodes=0: expected a whole number from 1"),
        ("calibrate_confidence", "alarm_share=2", "alarm_share=2.0: expected more than 0 and less than 1"),
        ("calibrate_confidence", "runs=/nowhere", "runs=/nowhere: expected a folder of vla-run"),
        ("replay_guards", "/nowhere/guards.jsonl", "record /nowhere/guards.jsonl: No such file"),
    ],
)
def test_mistakes_get_one_clear_line(name: str, argument: str, said: str) -> None:
    done = script(name, argument)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_record_is_judged_again_equally_and_differently_with_another_limit(tmp_path: Path) -> None:
    small = ["environment.env.cameras.front.width=32", "environment.env.cameras.front.height=32"]
    done = script("run_episode", "policy=random", "seed=4", "recorder=none", f"out={tmp_path}", *small)
    assert done.returncode == 0, done.stderr
    record = str(tmp_path / "guards.jsonl")
    equal = script("replay_guards", record)
    assert equal.returncode == 0, equal.stderr
    assert "judged again: 0 differ" in equal.stdout
    assert script("replay_guards", record, "guards.workspace.z_m=[0.3,0.6]").returncode == 1
