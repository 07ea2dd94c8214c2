"""What guards are shown in tests: the default profile, a robot that is where it says, and one danger for every guard."""

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tests.conftest import SPEC
from vla_runtime.actions.rotations import Quaternion, Vector
from vla_runtime.actions.statistics import ActionStatistics
from vla_runtime.config import build_chain, compose_config, guard_settings
from vla_runtime.guards.chain import GuardChain
from vla_runtime.guards.orientation import tilt_rad
from vla_runtime.guards.poses import moved
from vla_runtime.kinematics.serial_arm import SerialArm
from vla_runtime.specs import ActionSpec
from vla_runtime.types import (
    Action,
    ActionTokens,
    Candidate,
    FrameFacts,
    GuardContext,
    Judgement,
    Observation,
    Proposal,
    Proprioception,
    RobotState,
    Verdict,
)

HOME = (0.0, -0.35, 0.0, -2.32, 0.0, 1.97, 0.785)  # [rad]
STAY = (0.0,) * 6 + (1.0,)
PERIOD_S = 0.2
AT_20_HZ = replace(
    SPEC,
    low=(-0.0125,) * 3 + (-0.0625,) * 3 + (0.0,),
    high=(0.0125,) * 3 + (0.0625,) * 3 + (1.0,),
    control_hz=20.0,
)


@functools.cache
def settings(overrides: tuple[str, ...] = (), spec: ActionSpec = SPEC, limits: object = None) -> Any:
    """The default profile with overrides, in plain values. `limits`: statistics of a checkpoint."""
    return guard_settings(compose_config("run_episode", list(overrides)), spec, limits)


def chain(*overrides: str, spec: ActionSpec = SPEC, limits: object = None) -> GuardChain:
    """A new chain of the default profile."""
    return build_chain(settings(overrides, spec, limits))


@functools.cache
def arm() -> SerialArm:
    """The Panda of the default profile."""
    return next(guard for guard in chain().guards if guard.name == "collision")._arm  # type: ignore[attr-defined]


def action(x: float = 0.0, y: float = 0.0, z: float = 0.0, roll: float = 0.0, pitch: float = 0.0, yaw: float = 0.0,
           gripper: float = 1.0) -> Action:  # fmt: skip
    return Action((x, y, z, roll, pitch, yaw, gripper))


def joints_at(position: Vector, quaternion: Quaternion | None = None) -> tuple[float, ...]:
    """Joints near home that bring the tool to a position, pointing as at home or otherwise."""
    joints, (start, upright) = HOME, arm().tool_pose(HOME)
    for k in range(1, 21):
        x, y, z = (a + (b - a) * k / 20 for a, b in zip(start, position, strict=True))
        joints = arm().reach(joints, (x, y, z), (quaternion or upright) if k > 10 else upright).joints
    return joints


def robot_at(joints: Sequence[float], **differs: Any) -> RobotState:
    """A robot at rest where it was told to be; some of its values differ."""
    position, quaternion = arm().tool_pose(joints)
    rest = RobotState(
        (*position, *quaternion), tuple(joints), (0.0,) * 7, (0.0,) * 7, (0.0, 0.0, 0.0), 0.0, 0.1
    )
    return replace(rest, **differs)


def context(
    joints: Sequence[float] = HOME,
    *,
    robot: RobotState | None = None,
    now_s: float = 0.0,
    age_s: float = 0.05,
    tokens: ActionTokens | None = None,
    frame: FrameFacts = FrameFacts(1, 100.0),  # noqa: B008 it is frozen
    hold: Action = Action(STAY),  # noqa: B008
    **felt_differs: Any,
) -> GuardContext:
    """A moment in which all is well, but for what is given."""
    position, quaternion = arm().tool_pose(joints)
    felt = replace(Proprioception(tuple(joints), (*position, *quaternion), 1.0), **felt_differs)
    seen = Observation({}, felt, "", now_s - age_s, round(now_s / PERIOD_S), robot or robot_at(joints))
    return GuardContext(seen, now_s, tokens, hold, {"front": replace(frame, digest=round(1e6 * now_s))})


Step = tuple[Action | None, GuardContext]


def played(guards: GuardChain, steps: Sequence[Step]) -> list[Judgement]:
    """The judgements of several steps; the chain remembers."""
    memory: Any = {}
    judgements: list[Judgement] = []
    for asked, seen in steps:
        now = replace(seen, memory=memory)
        judgements.append(guards.fold(Candidate(asked, Proposal(None, seen.tokens)), now))
        memory = guards.remember(now, judgements[-1])
    return judgements


@dataclass(frozen=True)
class Scenario:
    """A danger.

    Attributes:
        guard: The one that averts it.
        steps: What happens.
        averted: Whether the last judgement is right.
        overrides: Of the default profile, where it has nothing to avert.
        spec: Of the robot.
        limits: Statistics of the checkpoint.
    """

    guard: str
    steps: Sequence[Step]
    averted: Callable[[Judgement], bool]
    overrides: tuple[str, ...] = ()
    spec: ActionSpec = SPEC
    limits: ActionStatistics | None = None


def held(judgement: Judgement) -> bool:
    return judgement.verdict is Verdict.HOLD


def stopped(judgement: Judgement) -> bool:
    return judgement.verdict is Verdict.STOP


def _pose(joints: Sequence[float]) -> tuple[Vector, Quaternion]:
    return arm().tool_pose(joints)


def _after(joints: Sequence[float], judgement: Judgement) -> tuple[float, ...]:
    """The joints that the judged action leads to."""
    return arm().reach(joints, *moved(_pose(joints), judgement.action)).joints


def _scenarios() -> list[Scenario]:
    home = _pose(HOME)[0]
    tilted = (*HOME[:5], HOME[5] + 0.75, HOME[6])
    turned = (*HOME[:6], 2.75)
    far = joints_at((0.74, 0.0, 0.3))
    at_face = joints_at((0.45, 0.44, 0.2))
    low = joints_at(
        (0.5, 0.0, 0.065), (0.9305, 0.0, 0.0, 0.3663)
    )  # hand 43 degrees to the side, over the table
    ahead = f"{{x_m: [{home[0] + 0.12}, 0.9], y_m: [-0.4, 0.4], z_m: [0.0, 0.6]}}"
    sure, unsure = ((ActionTokens((31800,) * 7, None, (nats,) * 7)) for nats in (0.1, 2.0))
    pressed = robot_at(HOME, external_force=(0.0, 0.0, 18.0), peak_force_n=18.0)
    crushed = robot_at(HOME, peak_force_n=25.0)
    x, y, z, *quaternion = robot_at(HOME).commanded_pose
    lagging = robot_at(HOME, commanded_pose=(x + 0.08, y, z, *quaternion))
    narrow = ActionStatistics((-0.02,) * 7, (0.02,) * 7, (True,) * 6 + (False,))
    small = action(x=0.01)
    times = [k * PERIOD_S for k in range(20)]
    return [
        Scenario("finite", [(action(x=math.nan), context())], held),
        Scenario("token_validity", [(small, context(tokens=ActionTokens((5,) * 7)))], held),
        Scenario(
            "confidence",
            [(small, context(now_s=t, tokens=sure if t == 0.0 else unsure)) for t in times[:6]],
            held,
            ("guards.confidence.threshold_nats=1.0", "guards.confidence.verdict=hold"),
        ),
        Scenario("observation_age", [(small, context(age_s=0.5))], held),
        Scenario("frames", [(small, context(frame=FrameFacts(1, 1.0)))], held),
        Scenario("contact_force", [(small, context(robot=crushed))], stopped),
        Scenario(
            "contact_force",
            [(action(x=0.01, z=-0.01), context(robot=pressed))],
            lambda judged: judged.action.values[0] == 0.01 and judged.action.values[2] > -1e-9,
        ),
        Scenario("tracking_error", [(small, context(robot=lagging, now_s=t)) for t in times[:2]], stopped),
        Scenario(
            "step_size",
            [(action(x=0.04), context())],
            lambda judged: judged.action.values[0] == 0.02,
            limits=narrow,
        ),
        Scenario(
            "orientation",
            [(action(pitch=-0.2), context(tilted))],
            lambda judged: tilt_rad(moved(_pose(tilted), judged.action)[1]) <= 0.785 + 1e-6,
        ),
        Scenario(
            "workspace",
            [(action(y=0.04), context(at_face))],
            lambda judged: _pose(at_face)[0][1] + judged.action.values[1] <= 0.45,
        ),
        Scenario(
            "keep_out",
            [(action(x=0.05), context())] * 2,
            lambda judged: judged.action.values[0] < 0.05,
            (f"+guards.keep_out.zones.box={ahead}",),
        ),
        Scenario(
            "joint_limits",
            [(action(yaw=-0.1), context(turned))],
            lambda judged: arm().limit_margins_rad(_after(turned, judged))[6] >= 0.1,
        ),
        Scenario(
            "singularity",
            [(action(x=0.04), context(far))],
            lambda judged: judged.action.values[0] < 0.04,
        ),
        Scenario(
            "collision",
            [(action(z=-0.04), context(low))],
            lambda judged: arm().clearances(_after(low, judged), 0.0).table_distance_m >= 0.02 - 1e-3,
        ),
        Scenario(
            "gripper_debounce",
            [(action(gripper=0.0), context()), (action(gripper=1.0), context(now_s=0.2))],
            lambda judged: judged.action.values[6] == 0.0,
        ),
        Scenario(
            "dwell",
            [(action(x=0.01 * (-1) ** k), context(now_s=t)) for k, t in enumerate(times)],
            held,
        ),
        Scenario(
            "within_spec",
            [(action(x=0.08, gripper=1.3), context())],
            lambda judged: (judged.action.values[0], judged.action.values[6]) == (0.05, 1.0),
        ),
        Scenario(
            "motion",
            [(action(x=0.0125 * (-1) ** k), context(now_s=0.05 * k)) for k in range(4)],
            lambda judged: abs(judged.action.values[0]) < 0.0125,
            spec=AT_20_HZ,
        ),
    ]  # fmt: skip


SCENARIOS = _scenarios()
