"""Episodes to learn from: somebody drives, and every frame is kept with the expert's answers.

The expert drives with pushes, or the model that is being trained drives and the expert takes over now and then (DAgger).
What is asked for changes now and then in mid-episode, so that no state goes with one sentence only.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from vla_runtime import limits
from vla_runtime.interfaces import Policy
from vla_runtime.pretraining.shards import ShardWriter
from vla_runtime.pushes import next_push
from vla_runtime.types import Observation

TURNLESS = np.array([1.0, 1.0, 1.0, 1.0, 1.0, 0.0, 1.0])  # an action without its yaw
STREAM = 7  # of random numbers of an episode's seed


class Simulator(Protocol):
    """What is needed of a simulator's environment."""

    action_space: Any
    period_s: float
    terminated: bool
    truncated: bool
    stopped: bool

    def reset(self, *, seed: int) -> Any:
        """Start an episode."""
        ...

    def command(self, action: Any) -> Any:
        """Set out to do an action."""
        ...

    def advance(self, duration_s: float) -> Any:
        """Let the world go on."""
        ...

    def observe(self) -> Any:
        """What is seen now; it has to be drawn."""
        ...


class Lessons(Protocol):
    """What an episode's moments teach; see sim.experts.lessons."""

    def now(self) -> Any:
        """The lesson of the present moment."""
        ...


@dataclass(frozen=True)
class Driving:
    """How episodes are driven.

    Attributes:
        expert_share: Of the time that the expert drives, beside a policy, 0 to 1.
        segment_steps: For so long one of them drives [steps].
        push_share: Of the expert's steps that are pushed off its way, 0 to 0.95.
        push_m: Standard deviation of a push along each axis in one step [m].
        push_rad: The same of yaw [rad].
        push_steps: How long a push lasts on average [steps].
        shake_m: Standard deviation of what is added along each axis in every step of the expert's [m]. Without it the expert is
            exactly where it wants to be, and answers with exact zeros.
        shake_rad: The same of yaw [rad].
        neglect: Share of the time in which the expert, where it drives, does not turn the hand: otherwise a thing would never be
            seen close by from a heading that does not fit.
        neglect_steps: For so long on average it is as it is [steps].
        switch: Probability that what is asked for changes, in each step.
        kept: Share of the expert's frames that are kept: neighbours are much alike, and what is not kept is not drawn. Of a
            policy's all are.
        longest: Steps of an episode at most.
    """

    expert_share: float = 0.3
    segment_steps: int = 5
    push_share: float = 0.3
    push_m: float = 0.012
    push_rad: float = 0.06
    push_steps: float = 3.0
    shake_m: float = 0.006
    shake_rad: float = 0.03
    neglect: float = 0.3
    neglect_steps: float = 10.0
    switch: float = 0.02
    kept: float = 0.5
    longest: int = 60

    def __post_init__(self) -> None:
        """Refuse what makes no sense."""
        limits.within("driving", 0.0, 1.0, expert_share=self.expert_share, switch=self.switch)
        limits.within("driving", 0.0, 1.0, neglect=self.neglect)
        limits.within("driving", 0.01, 1.0, kept=self.kept)
        limits.within("driving", 0.0, 0.95, push_share=self.push_share)
        limits.within("driving", 0.0, 1.0, push_m=self.push_m, shake_m=self.shake_m)
        limits.within("driving", 0.0, 3.15, push_rad=self.push_rad, shake_rad=self.shake_rad)
        limits.within("driving", 1.0, 100.0, push_steps=self.push_steps, neglect_steps=self.neglect_steps)
        limits.count("driving", 1, 10_000, segment_steps=self.segment_steps, longest=self.longest)


def collect(
    simulator: Simulator,
    lessons_of: Callable[[Any], Lessons],
    writer: ShardWriter,
    seed: int,
    driving: Driving,
    policy: Policy | None = None,
    camera: str = "front",
) -> bool:
    """Drive one episode and add its frames.

    Args:
        simulator: An environment.
        lessons_of: Makes the lessons of the episode that has just begun.
        writer: Takes the frames.
        seed: Of the episode.
        driving: How.
        policy: Drives in turns with the expert; None: the expert drives, with pushes.
        camera: Whose pictures are kept.

    Returns:
        Whether the last thing asked for was achieved.
    """
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(STREAM,)))
    simulator.reset(seed=seed)
    lessons = lessons_of(simulator)
    if policy is not None:
        policy.reset(seed)
    pushes = _Pushes(rng, driving)
    asked, left, expert_drives, neglects = 0, 0, True, False
    for step in range(driving.longest):
        lesson = lessons.now()
        raw = simulator.observe() if policy is not None or rng.random() < driving.kept else None
        if raw is not None:
            writer.add(raw["images"][camera], lesson, seed)
        if rng.random() < driving.switch:
            asked = int(rng.integers(len(lesson.answers)))
        if step == 0 or rng.random() < 1.0 / driving.neglect_steps:
            neglects = bool(rng.random() < driving.neglect)
        if left == 0:
            expert_drives, left = (
                policy is None or bool(rng.random() < driving.expert_share),
                driving.segment_steps,
            )
        left -= 1
        answer = lesson.answers[asked]
        push = pushes.next()
        if expert_drives or policy is None or raw is None:
            action = answer.action * (TURNLESS if neglects else 1.0) + (push if policy is None else 0.0)
        else:
            action = _acted(policy, raw, answer.instruction, step, fallback=answer.action)
        low, high = simulator.action_space.low, simulator.action_space.high
        simulator.command(np.clip(action, low, high))
        simulator.advance(simulator.period_s)
        if simulator.terminated or simulator.truncated or simulator.stopped:
            break
    return bool(simulator.terminated)


def _acted(policy: Policy, raw: Any, instruction: str, step: int, fallback: Any) -> Any:
    """What a policy does; what the expert would, where the policy has no answer."""
    seen = Observation(raw["images"], None, instruction, 0.0, step, None)
    action = policy.act(seen).proposals[0].action
    return fallback if action is None else np.array(policy.unnormalizer.unnormalize(action).values)


class _Pushes:
    """Pushes that come and go, and a tremor; the gripper is left alone."""

    def __init__(self, rng: np.random.Generator, driving: Driving) -> None:
        self._rng, self._driving = rng, driving
        self._push = np.zeros(4)  # x, y, z [m], yaw [rad] in each step

    def next(self) -> NDArray[np.float64]:
        """What is added to the action of this step, shape (7,)."""
        driving = self._driving
        size = np.array([driving.push_m] * 3 + [driving.push_rad])
        self._push = next_push(self._push, self._rng, driving.push_share, driving.push_steps, size)
        shake = self._rng.standard_normal(4) * ([driving.shake_m] * 3 + [driving.shake_rad])
        x, y, z, yaw = (self._push + shake).tolist()
        return np.array([x, y, z, 0.0, 0.0, yaw, 0.0])


def shard_path(folder: Path, number: int) -> Path:
    """Of a round's shard."""
    return folder / f"shard_{number:04d}.npz"
