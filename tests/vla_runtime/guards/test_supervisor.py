"""What is let through has been written down; what was written can be judged again; a STOP latches."""

import json
import math
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conftest import SPEC
from tests.vla_runtime.guards.scenarios import HOME, STAY, action, arm, chain, robot_at, settings
from vla_runtime.config import build_chain
from vla_runtime.errors import InvalidRecord
from vla_runtime.evaluation.replay import read_record, replay
from vla_runtime.guards.chain import GuardChain
from vla_runtime.guards.poses import moved
from vla_runtime.guards.supervisor import NO_RECORD, Supervisor
from vla_runtime.recording.guard_record import FILE_NAME, GuardRecord
from vla_runtime.types import (
    Action,
    ActionTokens,
    Candidate,
    GuardContext,
    Intervention,
    Judgement,
    Observation,
    Proposal,
    Proprioception,
    Verdict,
)

MOVE = action(x=0.01)
HOLD = Action(STAY)
NAN_ACTION = action(y=math.nan)


def seen(step: int = 0, joints: tuple[float, ...] = HOME, **differs: Any) -> Observation:
    position, quaternion = arm().tool_pose(joints)
    felt = Proprioception(joints, (*position, *quaternion), 1.0)
    image = np.full((32, 32, 3), 50 + step % 100, np.uint8)
    return Observation({"front": image}, felt, "", 0.2 * step, step, robot_at(joints, **differs))


def judged(guards: Supervisor, asked: Action | None, step: int = 0, **differs: Any) -> Judgement:
    return guards.judge(Candidate(asked, Proposal(None)), seen(step, **differs), HOLD, 0.2 * step)


def test_the_record_is_written_before_the_action_is_let_out() -> None:
    order: list[str] = []
    guards = Supervisor(chain())
    guards.record_with(lambda context, candidate, judgement: order.append("written"))
    judged(guards, MOVE)
    order.append("let out")
    assert order == ["written", "let out"]


@pytest.mark.parametrize("error", [OSError("disk full"), ValueError("nan"), TypeError("not plain")])
def test_without_a_record_it_holds(error: Exception) -> None:
    def broken(*_: object) -> None:
        raise error

    guards = Supervisor(chain())
    guards.record_with(broken)
    judgement = judged(guards, MOVE)
    assert (judgement.verdict, judgement.action) == (Verdict.HOLD, HOLD)
    assert judgement.interventions[0].reason == NO_RECORD


class StopsAtRest:
    """Says STOP to the hold action only."""

    name = "stops_at_rest"

    def check(self, action: Action, context: GuardContext) -> Any:
        return Intervention(self.name, Verdict.STOP, "at rest") if action == context.hold else None


def test_a_stop_that_is_said_when_nothing_can_be_written_latches_as_well() -> None:
    def broken(*_: object) -> None:
        raise OSError("disk full")

    guards = Supervisor(GuardChain({"stops_at_rest": StopsAtRest()}, SPEC))
    guards.record_with(broken)
    assert judged(guards, MOVE).verdict is Verdict.STOP
    assert guards.latched == "at rest"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_disk_holds(tmp_path: Path) -> None:
    record = GuardRecord(tmp_path, {})
    full = os.open("/dev/full", os.O_WRONLY)
    os.dup2(full, record._file)
    os.close(full)
    guards = Supervisor(chain())
    guards.record_with(record.write)
    assert [judged(guards, MOVE, step).verdict for step in range(3)] == [Verdict.HOLD] * 3
    record.close()


def test_a_stop_latches_until_the_operator_has_looked() -> None:
    guards = Supervisor(chain())
    assert judged(guards, MOVE, peak_force_n=30.0).verdict is Verdict.STOP
    assert judged(guards, MOVE).verdict is Verdict.STOP
    guards.reset()
    latched = judged(guards, MOVE)
    assert latched.verdict is Verdict.STOP
    assert "not acknowledged by the operator: contact force 30.0 N" in latched.interventions[0].reason
    guards.acknowledge()
    assert judged(guards, MOVE).verdict is Verdict.PASS


# ------------------------------------------------------------------------------------------------ judged again


def random_action(rng: random.Random) -> Action | None:
    """Small and large, flipping, not finite, or none at all."""
    kind = rng.random()
    if kind < 0.1:
        return None
    if kind < 0.2:
        return Action(tuple(rng.choice([0.01, math.nan, math.inf, -math.inf]) for _ in range(7)))
    size = rng.choice([0.2, 1.0, 3.0])
    wish = [rng.uniform(-size, size) * top for top in SPEC.high[:6]]
    return Action((*wish, rng.choice([0.0, 1.0, 0.5, 1.4])))


def record_episode(folder: Path, seed: int, steps: int = 60) -> Path:
    """An episode with everything that can go wrong, written down. The robot goes where it is told."""
    rng = random.Random(seed)
    guards = Supervisor(chain())
    record = GuardRecord(folder, settings())
    guards.record_with(record.write)
    joints: tuple[float, ...] = HOME
    pose = arm().tool_pose(joints)
    for step in range(steps):
        asked = random_action(rng)
        tokens = ActionTokens((31800,) * 7, None, (rng.random(),) * 7) if rng.random() < 0.8 else None
        bad = {"external_force": (math.nan, 0.0, 0.0)} if step == steps - 2 else {}
        differs = {"commanded_pose": (*pose[0], *pose[1]), **bad}
        if step == steps // 2:
            differs["peak_force_n"] = 30.0
        candidate = Candidate(asked, Proposal(None, tokens), 0.2 * step - 0.1, None if asked else "none")
        judgement = guards.judge(candidate, seen(step, joints, **differs), HOLD, 0.2 * step + 0.01)
        if judgement.verdict is Verdict.STOP:
            guards.acknowledge()
            continue
        pose = moved(pose, judgement.action)
        joints = arm().reach(joints, *pose).joints
    record.close()
    return folder / FILE_NAME


@pytest.mark.parametrize("seed", range(4))
def test_a_record_judged_again_says_the_same(tmp_path: Path, seed: int) -> None:
    header, steps = read_record(record_episode(tmp_path, seed))
    verdicts = [line["verdict"] for line in steps]
    assert len(steps) == 60
    assert {"PASS", "CLAMP", "HOLD", "STOP"} <= set(verdicts)
    again = replay(steps, build_chain(header))
    assert again.differing == ()
    assert again.interventions > 0


def test_another_limit_judges_differently(tmp_path: Path) -> None:
    header, steps = read_record(record_episode(tmp_path, 0))
    other: Any = json.loads(json.dumps(header))
    other["guards"]["step_size"]["step_m"] = 0.01
    assert replay(steps, build_chain(other)).differing


def changed_digit(text: str) -> str:
    position = text.index('"now_s":') + len('"now_s":')
    return text[:position] + "7" + text[position + 1 :]


def without_a_line(text: str) -> str:
    lines = text.splitlines(keepends=True)
    return "".join(lines[:5] + lines[6:])


def not_text(text: str) -> str:
    return text[:400] + "\xff" + text[401:]


CHANGES = {
    "a digit": changed_digit,
    "a line less": without_a_line,
    "two lines swapped": lambda text: "".join(
        [*(lines := text.splitlines(keepends=True))[:3], lines[4], lines[3], *lines[5:]]
    ),
    "the beginning cut off": lambda text: text[text.index("\n") + 1 :],
    "cut in the first line": lambda text: text[:50],
    "cut and written on": lambda text: text[:3000] + "\n",
    "nothing left": lambda text: "",
    "a byte that is no text": not_text,
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_what_was_changed_is_found(tmp_path: Path, change: Callable[[str], str]) -> None:
    path = record_episode(tmp_path, 1, steps=10)
    path.write_bytes(change(path.read_text()).encode("latin-1"))
    with pytest.raises(InvalidRecord, match=r"^record .*guards\.jsonl.*: [^\n]+$"):
        read_record(path)


def test_an_unfinished_last_line_is_left_out(tmp_path: Path) -> None:
    path = record_episode(tmp_path, 1, steps=10)
    whole = read_record(path)[1]
    path.write_text(path.read_text()[:-20])
    assert read_record(path)[1] == whole[:-1]


def test_a_file_that_is_not_there_is_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(InvalidRecord, match="No such file"):
        read_record(tmp_path / "none.jsonl")
