"""Judging a recorded episode again: the same guards, shown the same, must say the same to the last bit."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from vla_runtime.errors import InvalidRecord
from vla_runtime.guards.chain import GuardChain
from vla_runtime.recording.guard_record import (
    FORMAT,
    NO_DIGEST,
    chained,
    intervention_as_json,
    numbers,
)
from vla_runtime.types import (
    Action,
    ActionTokens,
    Candidate,
    FrameFacts,
    GuardContext,
    Observation,
    Proposal,
    Proprioception,
    RobotState,
)

Line = Mapping[str, Any]


@dataclass(frozen=True)
class Replay:
    """How a replay went.

    Attributes:
        steps: Lines that were judged again.
        interventions: How many interventions they hold.
        differing: Steps whose verdict, action or interventions differ, with what differs.
    """

    steps: int
    interventions: int
    differing: tuple[tuple[int, str], ...]


def read_record(path: Path) -> tuple[Line, list[Line]]:
    """The header and the steps of a guards.jsonl whose digests are right.

    Raises:
        InvalidRecord: It cannot be read, was changed, or has another format. A last line that is cut off in the middle
            (the machine lost power) is left out.
    """
    try:
        text = path.read_text()
    except OSError as error:
        raise InvalidRecord(f"record {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InvalidRecord(f"record {path}: not a text file ({error})") from error
    lines = list(_checked(path, text.splitlines(), complete=text.endswith("\n")))
    if not lines or lines[0].get("format") != FORMAT:
        raise InvalidRecord(f"record {path}: expected a first line with format {FORMAT!r}")
    return lines[0], lines[1:]


def replay(steps: list[Line], chain: GuardChain) -> Replay:
    """Judge the steps of a record again, in order."""
    memory: Mapping[str, Any] = {}
    differing = []
    for line in steps:
        candidate, context = _candidate(line), _context(line, memory)
        judgement = chain.fold(candidate, context)
        said = {
            "verdict": judgement.verdict.name,
            "executed": numbers(judgement.action),
            "interventions": [intervention_as_json(why) for why in judgement.interventions],
        }
        different = [key for key, value in said.items() if value != line[key]]
        if different:
            differing.append((int(line["step"]), ", ".join(different)))
        memory = chain.remember(context, judgement)
    return Replay(len(steps), sum(len(line["interventions"]) for line in steps), tuple(differing))


def frozen(values: Mapping[str, Any]) -> dict[str, Any]:
    """Plain values as dataclasses have them: tuples for lists."""
    return {key: tuple(value) if isinstance(value, list) else value for key, value in values.items()}


def _checked(path: Path, lines: list[str], *, complete: bool) -> Iterator[Line]:
    digest = NO_DIGEST
    for number, line in enumerate(lines, start=1):
        body, _, rest = line.rpartition(',"digest":"')
        digest = chained(digest, body + "}")
        if rest != f'{digest}"}}':
            if number == len(lines) and not complete:
                return
            raise InvalidRecord(f"record {path}, line {number}: its digest is wrong, it was changed or cut")
        yield json.loads(line)


def _candidate(line: Line) -> Candidate:
    action = _action(line["action"])
    tokens = _tokens(line)
    proposal = Proposal(None, tokens) if tokens or line["refused"] else None
    return Candidate(action, proposal, _number(line["planned_from_s"]), line["reason"], line["give_up"])


def _context(line: Line, memory: Mapping[str, Any]) -> GuardContext:
    felt = None
    if line["end_effector_pose"] is not None:
        joints, pose = _number(line["joint_positions"]), _number(line["end_effector_pose"])
        felt = Proprioception(joints, pose, _number(line["gripper_opening"]))
    captured_s = _number(line["capture_time_s"])
    observation = Observation({}, felt, "", captured_s, line["step"], _robot(line["robot"]))
    hold = _action(line["hold"])
    assert hold is not None
    frames = {
        name: FrameFacts(digest, _number(brightness)) for name, (digest, brightness) in line["frames"].items()
    }
    return GuardContext(observation, _number(line["now_s"]), _tokens(line), hold, frames, memory)


def _robot(content: Line | None) -> RobotState | None:
    if content is None:
        return None
    texts = ("protective_stop",)
    values: dict[str, Any] = {field.name: content[field.name] for field in fields(RobotState)}
    return RobotState(**{key: value if key in texts else _number(value) for key, value in values.items()})


def _tokens(line: Line) -> ActionTokens | None:
    if line["token_ids"] is None:
        return None
    return ActionTokens(tuple(line["token_ids"]), None, _number(line["token_entropies"]))


def _number(value: Any) -> Any:
    """A number, or a list of them as a tuple; those that are not finite were written as strings."""
    if isinstance(value, list):
        return tuple(map(_number, value))
    return float(value) if isinstance(value, str) else value


def _action(values: list[float | str] | None) -> Action | None:
    return None if values is None else Action(tuple(map(float, values)))
