"""vla-run as a user meets it: another process, another folder, and mistakes."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from vla_runtime.commands.run_episode import main

ROOT = Path(__file__).parents[3]
FILES = ["episode.mp4", "guards.jsonl", "result.json", "steps.jsonl", "timing.jsonl"]
QUICK = ["policy=expert", "environment.env.cameras.front.width=64", "environment.env.cameras.front.height=64"]


def vla_run(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "scripts" / "run_episode.py"), *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=120, check=False)


def test_an_episode_from_any_folder(tmp_path: Path) -> None:
    done = vla_run("policy=expert", "task=place_in", "seed=3", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "success at the end: 1 of 1" in done.stdout
    (folder,) = (tmp_path / "outputs" / "run_episode").iterdir()
    assert sorted(file.name for file in folder.iterdir()) == FILES
    result = json.loads((folder / "result.json").read_text())
    for key in (
        "success_at_end",
        "success_once",
        "stage",
        "steps",
        "task",
        "seed",
        "state_hash",
        "image_hash",
    ):
        assert key in result
    assert result["privileged_policy"] is True
    assert set(result["stage_ms"]) == {"capture", "preprocessing", "inference", "guards", "command"}
    assert result["versions"]["pybullet"]
    assert len((folder / "steps.jsonl").read_text().splitlines()) == result["steps"]


def test_several_episodes_and_their_summary(tmp_path: Path) -> None:
    assert main(["task=pick", "episodes=3", "seed=5", "recorder=steps", f"out={tmp_path}", *QUICK]) == 0
    summary = json.loads((tmp_path / "result.json").read_text())
    assert summary["success_at_end"]["count"] == summary["success_at_end"]["of"] == 3
    assert [episode["seed"] for episode in summary["episodes"]] == [5, 6, 7]
    single = tmp_path / "single"
    assert main(["task=pick", "seed=6", "recorder=steps", f"out={single}", *QUICK]) == 0
    alone = json.loads((single / "result.json").read_text())
    assert alone["state_hash"] == summary["episodes"][1]["state_hash"]
    assert (single / "steps.jsonl").read_text() == (tmp_path / "episode_000001" / "steps.jsonl").read_text()


@pytest.mark.parametrize(
    ("argument", "said"),
    [
        (
            "task=juggle",
            "unknown task 'juggle'; known: move_near, pick, pick_moving, place_in, place_on, put_correct, stack",
        ),
        (
            "policy=openvle",
            "unknown policy 'openvle' (did you mean 'openvla'?); known: constant, dagger, demonstrator, embedded, expert,",
        ),
        ("task.objects=[pineapple]", "unknown object 'pineapple'; known: banana"),
        ("sede=3", "unknown key 'sede' (did you mean 'seed'?)"),
        ("task.objcts=[lemon]", "unknown key 'objcts' in task (did you mean 'objects'?)"),
        ("seed=abc", "seed=abc: expected a whole number"),
        ("seed=1.5", "seed=1.5: expected a whole number"),
        ("seed=-1", "seed=-1: expected a whole number from 0"),
        ("episodes=0", "episodes=0: expected a whole number from 1"),
        ("view=maybe", "view=maybe: expected true or false"),
        ("environment.control_hz=7", "control_hz 7: expected one of 3, 5, 10, 20 [Hz]"),
        ("policy._target_=os.system", "expected a class of vla_runtime. or sim."),
        ("policy._target_=sim.environment.os.system", "there is no such class"),
        ("policy._target_=sim.assets.Path", "expected a class of vla_runtime. or sim."),
        ("policy._target_=sim.nothing.Here", "policy._target_=sim.nothing.Here: there is no such class"),
        ("+task.objects=[{_target_:os.getcwd}]", "task.objects[0]._target_=os.getcwd: expected a class"),
        ("out=/dev/null/x", "out=/dev/null/x: Not a directory"),
        ("just words", "expected key=value"),
    ],
)
def test_mistakes_get_one_clear_line(tmp_path: Path, argument: str, said: str) -> None:
    done = vla_run(argument, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert len(done.stderr.splitlines()) == 1
    assert said in done.stderr


def test_help_is_for_people(tmp_path: Path) -> None:
    done = vla_run("--help", cwd=tmp_path)
    assert done.returncode == 0
    assert "task=place_in" in done.stdout
    assert "put_correct" in done.stdout
    assert list(tmp_path.iterdir()) == []


def wait_for(path: Path, count: int) -> None:
    deadline = time.monotonic() + 90
    while len(list(path.glob("episode_*/result.json"))) < count:
        assert time.monotonic() < deadline, "no episode was finished in time"
        time.sleep(0.05)


def heed_interrupts() -> None:
    """A shell starts its background jobs, and so the tests, with SIGINT ignored; that would be inherited."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_an_interrupted_run_keeps_whole_episodes_only(tmp_path: Path, number: signal.Signals) -> None:
    out = tmp_path / "out"
    command = [sys.executable, str(ROOT / "scripts" / "run_episode.py"), "episodes=500", f"out={out}", *QUICK]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        preexec_fn=heed_interrupts,
    )
    wait_for(out, 2)
    process.send_signal(number)
    try:
        stdout, stderr = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    whole = sorted(out.glob("episode_*"))
    for folder in whole:
        assert json.loads((folder / "result.json").read_text())["status"] == "finished"
        assert sorted(file.name for file in folder.iterdir()) == FILES
    if number == signal.SIGKILL:
        return
    assert process.returncode == 130, stderr
    assert "Traceback" not in stderr
    summary = json.loads((out / "result.json").read_text())
    assert summary["status"] == "interrupted"
    assert summary["episodes_finished"] == len(whole)
    assert "interrupted" in stdout
    assert list(out.glob(".*")) == []


def test_a_crashed_episode_is_not_a_failed_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from vla_runtime.environments.gym_environment import GymEnvironment

    real = GymEnvironment.act

    def breaks_in_the_second(self: GymEnvironment, action: object) -> None:
        if self.simulator.seed == 6 and self.observe(0.0).step == 3:
            raise RuntimeError("the simulator broke")
        real(self, action)  # type: ignore[arg-type]

    monkeypatch.setattr(GymEnvironment, "act", breaks_in_the_second)
    assert main(["task=pick", "episodes=3", "seed=5", "recorder=steps", f"out={tmp_path}", *QUICK]) == 1
    summary = json.loads((tmp_path / "result.json").read_text())
    assert summary["episodes_crashed"] == 1
    assert summary["success_at_end"]["of"] == 2
    crashed = json.loads((tmp_path / "episode_000001" / "result.json").read_text())
    assert crashed["status"] == "crashed"
    assert "the simulator broke" in crashed["error"]
    assert not (tmp_path / "episode_000001" / "steps.jsonl").exists()


def test_without_pybullet_it_says_what_to_do(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['pybullet'] = None; from vla_runtime.commands.run_episode import run; run()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr.startswith("error: pybullet is not installed for this Python")
    assert len(done.stderr.splitlines()) == 1


def test_out_may_be_the_present_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["task=pick", "recorder=steps", "out=.", *QUICK]) == 0
    assert sorted(file.name for file in tmp_path.iterdir()) == ["guards.jsonl", "result.json", "steps.jsonl"]


def test_a_missing_package_is_named(tmp_path: Path) -> None:
    code = "import sys; sys.modules['av'] = None; from vla_runtime.commands.run_episode import run; run()"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "VideoRecorder needs the package 'av', which is not installed" in done.stderr


def test_every_step_and_the_summary_have_a_time_budget(tmp_path: Path) -> None:
    assert main(["task=pick", "seed=5", f"out={tmp_path}", *QUICK]) == 0
    result = json.loads((tmp_path / "result.json").read_text())
    lines = [json.loads(line) for line in (tmp_path / "timing.jsonl").read_text().splitlines()]
    stages = {"capture", "preprocessing", "inference", "guards", "command"}
    assert len(lines) == result["steps"]
    assert all({f"{stage}_ms" for stage in stages} <= set(line) for line in lines)
    assert set(result["stage_ms"]) == stages
    assert set(result["stage_ms"]["guards"]) == {"p50", "p95", "p99", "max"}
    assert result["observation_age_ms"] == {"p50": 0.0, "p95": 0.0, "p99": 0.0, "max": 0.0}
    assert (result["missed_deadlines"], result["touched_steps"]) == (0, 0)


def test_a_stop_that_is_the_operators_to_clear_ends_the_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stops_at_once = ["guards.tracking_error.max_error_m=1e-6", "guards.tracking_error.duration_s=0.0"]
    arguments = ["task=pick", "episodes=3", "recorder=none", f"out={tmp_path}", *stops_at_once, *QUICK]
    assert main([*arguments, "stop_latch=operator"]) == 1
    assert len(list(tmp_path.glob("episode_*"))) == 1
    assert "stopped: " in capsys.readouterr().out
    assert main([*arguments, "stop_latch=episode"]) == 0
    assert len(list(tmp_path.glob("episode_*"))) == 3


def test_a_simulated_clock_lets_the_world_go_on_while_the_model_thinks(tmp_path: Path) -> None:
    settings = ["task=pick", "seed=5", "recorder=steps", "environment.control_hz=10", *QUICK]
    texts = []
    for name in ("first", "second"):
        out = tmp_path / name
        assert main([*settings, "clock=simulated", "latency.latency_s=0.25", f"out={out}"]) == 0
        texts.append([(out / file).read_text() for file in ("steps.jsonl", "guards.jsonl")])
    result = json.loads((tmp_path / "first" / "result.json").read_text())
    assert texts[0] == texts[1]
    assert result["observation_age_ms"]["p50"] == pytest.approx(250.0)
    assert result["late_ticks"] > 0
    assert result["simulated_s"] > 0.25 * result["steps"]
