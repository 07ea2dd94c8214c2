"""The seams of the runtime. Implementations inherit nothing; they only have these methods."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vla_runtime.specs import ActionSpec
from vla_runtime.types import (
    Action,
    ActionChunk,
    Candidate,
    EpisodeEnd,
    Frame,
    GuardContext,
    Intervention,
    Judgement,
    NormalizedAction,
    Observation,
    StepRecord,
)


class Unnormalizer(Protocol):
    """Turns policy output into physical units."""

    def unnormalize(self, action: NormalizedAction) -> Action:
        """The physical action."""
        ...


class ActionTokenizer(Protocol):
    """Normalised actions as vocabulary ids, and back."""

    @property
    def periods(self) -> int:
        """For how many control periods one sequence of tokens stands."""
        ...

    @property
    def token_ids(self) -> Sequence[int]:
        """The ids of all action tokens, each once."""
        ...

    def encode(self, values: ArrayLike) -> NDArray[np.int64]:
        """The token ids of one sequence, in the order in which a model writes them, shape (tokens,).

        Args:
            values: Normalised; outside [-1, 1] they are clipped. Shape (axes,) where `periods` is 1, else
                (periods, axes).

        Raises:
            InvalidTokens: NaN, or a wrong shape.
        """
        ...

    def decode(self, token_ids: ArrayLike) -> NDArray[np.float64]:
        """What `encode` was given, as exactly as the tokens say it, in the same shape.

        Raises:
            InvalidTokens: An id that is no action token, or ids that are no whole sequence.
        """
        ...


class Policy(Protocol):
    """Observation to actions."""

    @property
    def action_spec(self) -> ActionSpec:
        """What its un-normalised actions mean."""
        ...

    @property
    def unnormalizer(self) -> Unnormalizer:
        """Turns its output into those units."""
        ...

    @property
    def privileged(self) -> bool:
        """Whether it reads the simulator's true state."""
        ...

    def describe(self) -> Mapping[str, Any]:
        """What a record must say of it beside its configuration: checksums, preprocessing. Plain values only."""
        ...

    def reset(self, seed: int) -> None:
        """Forget the last episode; draw whatever is random from this seed."""
        ...

    def act(self, observation: Observation) -> ActionChunk:
        """The actions of the next one or several control periods."""
        ...


class InferenceEngine(Protocol):
    """Decides when a policy runs, and plays its chunks."""

    def reset(self, seed: int, clock: "Clock") -> None:
        """Start an episode on a clock."""
        ...

    def propose(self, observation: Observation) -> Candidate:
        """What to do in this control period, in physical units."""
        ...

    def drop_chunk(self) -> None:
        """Throw away what is left of a chunk: the robot is not where it was planned from."""
        ...


class Guard(Protocol):
    """Judges one action. Pure: the same arguments give the same answer, and nothing else changes.

    What a guard must know of the past it may remember: a guard with a method
    `remember(context, judgement) -> value` finds that value in `context.memory[name]` at the next step.
    """

    @property
    def name(self) -> str:
        """What it is called in records."""
        ...

    def check(self, action: Action, context: GuardContext) -> Intervention | None:
        """None to let it pass; else CLAMP with a smaller action, HOLD or STOP, with a reason in words."""
        ...


class Judge(Protocol):
    """Guards as one."""

    def reset(self) -> None:
        """Forget the last episode."""
        ...

    def judge(self, candidate: Candidate, observation: Observation, hold: Action, now_s: float) -> Judgement:
        """The most severe verdict, and the action that is to be executed.

        Args:
            candidate: What the engine wants.
            observation: The newest one.
            hold: The embodiment's do-nothing.
            now_s: The loop's clock [s].
        """
        ...


class Environment(Protocol):
    """A simulated or real world with one robot in it."""

    @property
    def action_spec(self) -> ActionSpec:
        """What it expects of an action."""
        ...

    @property
    def step_limit(self) -> int:
        """Steps after which the loop ends an episode."""
        ...

    def reset(self, seed: int) -> None:
        """Start the episode of a seed."""
        ...

    def observe(self, now_s: float) -> Observation:
        """The newest observation, stamped with the loop's clock [s]."""
        ...

    def act(self, action: Action) -> None:
        """Execute one action for one control period."""
        ...

    def hold_action(self, observation: Observation) -> Action:
        """The embodiment's do-nothing: stay where you are, keep the gripper as it is."""
        ...

    @property
    def done(self) -> bool:
        """Whether the episode has ended by itself."""
        ...

    def outcome(self) -> Mapping[str, Any]:
        """How the episode stands: success, stage, hashes. Plain values only."""
        ...

    def stop(self) -> None:
        """End motion now. May be called at any time, also twice."""
        ...

    def close(self) -> None:
        """Let go of every resource. May be called twice."""
        ...


class Clock(Protocol):
    """Monotonic time, and the only one who sleeps."""

    @property
    def real_time(self) -> bool:
        """Whether it goes on by itself, so that work in another thread takes its own time."""
        ...

    def now_s(self) -> float:
        """Seconds since some fixed moment."""
        ...

    def sleep_until(self, deadline_s: float) -> None:
        """Return at the deadline, or at once when it has passed."""
        ...

    def charge_s(self, wall_s: float) -> float:
        """How long an inference counts on this clock [s] that took so much wall time [s]."""
        ...


class Recorder(Protocol):
    """Watches an episode and writes it down. It never changes what it is shown."""

    def begin(self, instruction: str, seed: int) -> None:
        """An episode starts."""
        ...

    def record(self, step: StepRecord) -> None:
        """A step was made."""
        ...

    def finish(self, end: EpisodeEnd, observation: Observation, outcome: Mapping[str, Any]) -> None:
        """The episode is over; `observation` is what was seen last."""
        ...

    def abandon(self) -> None:
        """The episode broke off: leave nothing half-written behind. May be called twice, and after finish."""
        ...


class FrameSource(Protocol):
    """Recorded episodes, frame by frame, in random order or in sequence. Frames count from 0 over all episodes."""

    @property
    def fps(self) -> float:
        """Frames and actions per second [Hz]."""
        ...

    @property
    def cameras(self) -> Sequence[str]:
        """Names of the cameras that it has pictures of."""
        ...

    @property
    def episode_bounds(self) -> Sequence[tuple[int, int]]:
        """First frame and one past the last frame of each episode."""
        ...

    def __len__(self) -> int:
        """How many frames."""
        ...

    def frame(self, index: int, cameras: Sequence[str] = ()) -> Frame:
        """One frame, with the pictures of these cameras."""
        ...

    def actions(self, start: int, stop: int) -> NDArray[np.float64]:
        """The actions of frames start to stop, shape (stop - start, axes), without decoding a picture."""
        ...
