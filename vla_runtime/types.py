"""Values that flow round the loop. All are frozen; arrays in them are not to be changed.

`NormalizedAction` and `Action` are two types on purpose: the type checker refuses to send numbers in [-1, 1] to a
robot that expects metres.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]


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
class Observation:
    """Everything that a policy may see at a step.

    Attributes:
        images: By camera name, each of shape (height, width, 3), RGB.
        proprioception: What the robot feels, or None where there is no such sensor.
        instruction: The sentence.
        capture_time_s: When the images were taken, on the loop's clock [s].
        step: Counts from 0 within an episode.
    """

    images: Mapping[str, Image]
    proprioception: Proprioception | None
    instruction: str
    capture_time_s: float
    step: int


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
    """

    action: NormalizedAction | None
    tokens: ActionTokens | None = None
    refusal: str | None = None


@dataclass(frozen=True)
class ActionChunk:
    """What one inference gives: proposals for one or several consecutive control periods, in order."""

    proposals: tuple[Proposal, ...]


class Verdict(IntEnum):
    """A guard's answer, in order of severity."""

    PASS = 0  # as proposed
    CLAMP = 1  # made smaller
    HOLD = 2  # not used; the embodiment's hold action instead
    STOP = 3  # the episode ends, the robot stays put


@dataclass(frozen=True)
class Intervention:
    """Why a guard did not let an action pass as it was.

    Attributes:
        guard: Name of the guard.
        verdict: CLAMP, HOLD or STOP.
        reason: In words.
    """

    guard: str
    verdict: Verdict
    reason: str


@dataclass(frozen=True)
class Judgement:
    """What guards make of an action.

    Attributes:
        verdict: The most severe one.
        action: What may be executed; to be ignored when the verdict is HOLD or STOP.
        interventions: One for each guard that did not say PASS.
    """

    verdict: Verdict
    action: Action
    interventions: tuple[Intervention, ...] = ()


@dataclass(frozen=True)
class GuardContext:
    """What a guard may look at besides the action.

    Attributes:
        observation: What the action was computed from.
        now_s: The loop's clock [s].
        tokens: What the action was decoded from, where there are tokens.
    """

    observation: Observation
    now_s: float
    tokens: ActionTokens | None = None


@dataclass(frozen=True)
class StepRecord:
    """One pass of the loop.

    Attributes:
        observation: What was seen.
        proposal: What the policy proposed, or None when there was no action in time.
        action: The physical action before the guards; None like the proposal.
        executed: The action that was sent to the environment; None when the verdict was STOP.
        judgement: The guards' answer.
        stage_s: Wall time of each stage of the step [s].
    """

    observation: Observation
    proposal: Proposal | None
    action: Action | None
    executed: Action | None
    judgement: Judgement
    stage_s: Mapping[str, float]


class EndedBy(IntEnum):
    """Why an episode ended."""

    ENVIRONMENT = 0  # success, or the environment's own limit
    STEP_LIMIT = 1  # the loop's limit
    GUARD_STOP = 2  # a guard said STOP
    HELD_TOO_LONG = 3  # several HOLDs in a row


@dataclass(frozen=True)
class EpisodeEnd:
    """How a pass through the loop went.

    Attributes:
        steps: Actions executed.
        ended_by: Why it ended.
        reason: In words.
        verdicts: How often each verdict was given.
        late_ticks: Ticks that were missed and skipped.
        stage_s: Wall time of each stage, one number per step [s].
    """

    steps: int
    ended_by: EndedBy
    reason: str
    verdicts: Mapping[Verdict, int]
    late_ticks: int
    stage_s: Mapping[str, tuple[float, ...]] = field(default_factory=dict[str, tuple[float, ...]])
