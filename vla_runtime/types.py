"""Values that flow round the loop. All are frozen; arrays in them are not to be changed.

`NormalizedAction` and `Action` are two types on purpose: the type checker refuses to send numbers in [-1, 1] to a
robot that expects metres.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
Pose = tuple[tuple[float, float, float], tuple[float, float, float, float]]

UNIT_LENGTH = (
    1e-3  # by which a quaternion's squared length may differ from one: single precision may leave as much
)


@dataclass(frozen=True)
class Proprioception:
    """What the robot feels of itself.

    Attributes:
        joint_positions: One number per joint [rad].
        end_effector_pose: 7 numbers: position [m] and quaternion xyzw of the tool frame in the robot base frame.
        gripper_opening: 0 closed to 1 open.
    """

    joint_positions: tuple[float, ...]
    end_effector_pose: tuple[float, ...]
    gripper_opening: float


@dataclass(frozen=True)
class RobotState:
    """What the robot's controller says beside proprioception. It is there for guards, not for policies.

    Attributes:
        commanded_pose: Where the controller was last told to bring the tool: position [m] and quaternion xyzw, base frame.
        commanded_joints: Where it was last told to bring the joints [rad].
        joint_velocities: [rad/s].
        joint_torques: Of the motors [N m].
        external_force: Of the world on the robot, summed over all contacts, base frame [N].
        peak_force_n: Its largest norm since the last command [N].
        clearance_m: Smallest distance between the arm and what it must not touch [m].
        protective_stop: Why the robot's controller stopped itself; None while it did not.
    """

    commanded_pose: tuple[float, ...]
    commanded_joints: tuple[float, ...]
    joint_velocities: tuple[float, ...]
    joint_torques: tuple[float, ...]
    external_force: tuple[float, float, float]
    peak_force_n: float
    clearance_m: float
    protective_stop: str | None = None


@dataclass(frozen=True)
class Observation:
    """Everything that a policy may see at a step.

    Attributes:
        images: By camera name, each of shape (height, width, 3), RGB.
        proprioception: What the robot feels, or None where there is no such sensor.
        instruction: The sentence.
        capture_time_s: When the images were taken, on the loop's clock [s].
        step: Counts from 0 within an episode.
        robot: What the robot's controller says, where it says anything.
        pending: Actions that are on their way already: they will be executed before what is computed from this
            observation can start.
    """

    images: Mapping[str, Image]
    proprioception: Proprioception | None
    instruction: str
    capture_time_s: float
    step: int
    robot: RobotState | None = None
    pending: "tuple[Action, ...]" = ()


@dataclass(frozen=True)
class NormalizedAction:
    """Policy output. Each value in [-1, 1] once a data set's statistics have normalised it; no units."""

    values: tuple[float, ...]


@dataclass(frozen=True)
class Action:
    """One command for one control period, in the physical units that the environment's ActionSpec names."""

    values: tuple[float, ...]


@dataclass(frozen=True)
class ActionTokens:
    """The tokens that an action was decoded from.

    Attributes:
        ids: Vocabulary ids, one per axis.
        log_probabilities: Of each token, in nats, where the model gives them.
        entropies: Of each choice, in nats, where the model gives them.
    """

    ids: tuple[int, ...]
    log_probabilities: tuple[float, ...] | None = None
    entropies: tuple[float, ...] | None = None


@dataclass(frozen=True)
class Proposal:
    """What a policy proposes for one control period.

    Attributes:
        action: Normalised; None when the policy cannot give one.
        tokens: What it was decoded from, where the policy has tokens.
        refusal: Why there is no action, in words.
        label: What a teacher would do here, where one looks on: what a policy should learn, which is not always what
            is done. Nobody executes it.
    """

    action: NormalizedAction | None
    tokens: ActionTokens | None = None
    refusal: str | None = None
    label: NormalizedAction | None = None


@dataclass(frozen=True)
class ActionChunk:
    """What one inference gives.

    Attributes:
        proposals: For one or several consecutive control periods, in order.
        preprocessing_s: Wall time of it that went into preparing image and text [s].
    """

    proposals: tuple[Proposal, ...]
    preprocessing_s: float = field(default=0.0, compare=False)


NOT_GUARDS = ("policy", "deadline")  # they hold because there is no action, not because one was wrong


class Verdict(IntEnum):
    """A guard's answer, in order of severity."""

    PASS = 0  # as proposed
    CLAMP = 1  # made smaller
    HOLD = 2  # not used; the embodiment's hold action instead
    STOP = 3  # the episode ends, the robot stays put


@dataclass(frozen=True)
class Intervention:
    """What a guard says when it does not simply let an action pass.

    Attributes:
        guard: Name of the guard.
        verdict: CLAMP, HOLD or STOP; PASS for a remark that changes nothing.
        reason: In words.
        action: What may be executed instead, with CLAMP.
        value: What was too large or too small, where it is a number.
        limit: What it was compared with.
        unit: Of both.
        before: What the guard was asked about; the chain fills it in.
    """

    guard: str
    verdict: Verdict
    reason: str
    action: Action | None = None
    value: float | None = None
    limit: float | None = None
    unit: str | None = None
    before: Action | None = None


@dataclass(frozen=True)
class Judgement:
    """What guards make of an action.

    Attributes:
        verdict: The most severe one.
        action: What is to be executed: the action as it was, a smaller one, or with HOLD the embodiment's hold action
            on its way to rest. To be ignored with STOP.
        interventions: One for each guard that did not simply let it pass.
    """

    verdict: Verdict
    action: Action
    interventions: tuple[Intervention, ...] = ()

    @property
    def touched_by(self) -> tuple[str, ...]:
        """The guards that intervened, without those that only remarked and without missing actions."""
        return tuple(
            why.guard
            for why in self.interventions
            if why.verdict is not Verdict.PASS and why.guard not in NOT_GUARDS
        )


@dataclass(frozen=True)
class FrameFacts:
    """What guards know of a camera's picture.

    Attributes:
        digest: Equal pictures have equal digests; it runs over a part of the rows.
        brightness: Mean over a grid of pixels, 0 to 255.
    """

    digest: int
    brightness: float


@dataclass(frozen=True)
class GuardContext:
    """What a guard may look at besides the action.

    Attributes:
        observation: The newest one.
        now_s: The loop's clock [s].
        tokens: What the action was decoded from, where there are tokens.
        hold: The embodiment's do-nothing.
        frames: By camera name.
        memory: By guard name, what each guard wished to remember of the last step.
    """

    observation: Observation
    now_s: float
    tokens: ActionTokens | None
    hold: Action
    frames: Mapping[str, FrameFacts] = field(default_factory=dict[str, FrameFacts])
    memory: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @cached_property
    def commanded_pose(self) -> Pose | None:
        """The pose that the next delta is added to: where the controller was last told to go, else the measured one.

        Position [m] and quaternion xyzw, base frame. None where nobody says, and where what they say is no pose: not
        finite, or a quaternion whose length is not one.
        """
        robot, felt = self.observation.robot, self.observation.proprioception
        if robot is not None:
            x, y, z, i, j, k, w = robot.commanded_pose
        elif felt is not None:
            x, y, z, i, j, k, w = felt.end_effector_pose
        else:
            return None
        squared = i * i + j * j + k * k + w * w
        if not (math.isfinite(x + y + z) and abs(squared - 1.0) <= UNIT_LENGTH):  # also refuses NaN
            return None
        return (x, y, z), (i, j, k, w)


@dataclass(frozen=True)
class Candidate:
    """What an inference engine wants to be done in this control period.

    Attributes:
        action: Physical, before the guards; None when there is none.
        proposal: The policy's proposal it comes from, where it comes from one.
        planned_from_s: When the observation was taken that it was computed from, on the loop's clock [s].
        reason: Why there is no action, or why it is not simply the policy's.
        give_up: Whether there has been none for so long that the episode must end.
        preprocessing_s: Wall time that went into preparing image and text in this period [s].
        label: The proposal's label, physical; for recorders only.
    """

    action: Action | None
    proposal: Proposal | None = None
    planned_from_s: float | None = None
    reason: str | None = None
    give_up: bool = False
    preprocessing_s: float = 0.0
    label: Action | None = None


@dataclass(frozen=True)
class StepRecord:
    """One pass of the loop.

    Attributes:
        observation: What was seen.
        candidate: What the engine wanted to be done.
        executed: The action that was sent to the environment; None when the verdict was STOP.
        judgement: The guards' answer.
        age_s: Of the observation that the action was computed from, when it was sent [s], on the loop's clock.
        stage_s: Wall time of each stage of the step [s].
    """

    observation: Observation
    candidate: Candidate
    executed: Action | None
    judgement: Judgement
    age_s: float | None
    stage_s: Mapping[str, float]


class EndedBy(IntEnum):
    """Why an episode ended."""

    ENVIRONMENT = 0  # success, or the environment's own limit
    STEP_LIMIT = 1  # the loop's limit
    GUARD_STOP = 2  # a guard said STOP
    HELD_TOO_LONG = 3  # several HOLDs in a row
    NO_ACTION_IN_TIME = 4  # the engine gave up waiting for the policy


@dataclass(frozen=True)
class EpisodeEnd:
    """How a pass through the loop went.

    Attributes:
        steps: Actions executed.
        ended_by: Why it ended.
        reason: In words.
        verdicts: How often each verdict was given.
        late_ticks: Ticks that were missed and skipped.
        missed_deadlines: Ticks at which the policy had no action of its own in time.
        stage_s: Wall time of each stage, one number per step [s].
        age_s: Observation age at actuation, one number per step that executed a policy's action [s].
        interventions: How often each guard intervened.
        touched_steps: Steps in which at least one guard did.
    """

    steps: int
    ended_by: EndedBy
    reason: str
    verdicts: Mapping[Verdict, int]
    late_ticks: int
    missed_deadlines: int = 0
    stage_s: Mapping[str, tuple[float, ...]] = field(default_factory=dict[str, tuple[float, ...]])
    age_s: tuple[float, ...] = ()
    interventions: Mapping[str, int] = field(default_factory=dict[str, int])
    touched_steps: int = 0


@dataclass(frozen=True)
class Frame:
    """One row of a data set: what was seen, and the action that is right there.

    Attributes:
        images: By camera name, each of shape (height, width, 3), RGB; only the cameras that were asked for.
        state: Proprioception, shape (n,) float64, or None where the data set has none. The simulator's and the arm's own
            recordings have 15 numbers: joint positions [rad] (7), end-effector pose [m] and quaternion xyzw in the base
            frame (7), gripper opening (1 = open).
        action: Physical, shape (axes,) float64, in the units of the data set.
        instruction: The sentence.
        episode: Number of the episode in the data set.
        step: Counts from 0 within the episode.
    """

    images: Mapping[str, Image]
    state: NDArray[np.float64] | None
    action: NDArray[np.float64]
    instruction: str
    episode: int
    step: int
