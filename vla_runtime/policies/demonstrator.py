"""Demonstrations to learn from: an expert says what is right at every step, and somebody drives who is not always right.

Whoever only imitates an expert that never errs does not learn to recover. So the arm is driven by the expert with noise (Laskey
et al. 2017, arXiv 1703.09327), or by the policy that is being trained (DAgger: Ross et al. 2011, arXiv 1011.0686), with the
expert taking over now and then. Every step's label is what the expert would do there.
"""

from collections import deque
from dataclasses import dataclass
from typing import final

import numpy as np

from vla_runtime import limits
from vla_runtime.actions.statistics import ActionStatistics
from vla_runtime.errors import ConfigurationError
from vla_runtime.interfaces import Policy
from vla_runtime.pushes import next_push
from vla_runtime.specs import ActionSpec
from vla_runtime.types import Action, ActionChunk, NormalizedAction, Observation, Proposal

STREAM = 2  # of random numbers of an episode's seed; the environment's and the random policy's are others


@dataclass(frozen=True)
class Noise:
    """Pushes that come and go, so that the arm is led off its way and the expert's way back is seen.

    Attributes:
        linear_m: Standard deviation of a push along x, y and z in one step [m].
        angular_rad: The same of yaw [rad].
        share: Of the steps that are pushed, about, 0 to 1.
        steps: How long a push lasts, on average [steps]; it keeps its direction.
        above_m: Pushes only while the tool is higher than this above the base frame's origin [m].
    """

    linear_m: float = 0.012
    angular_rad: float = 0.05
    share: float = 0.3
    steps: float = 3.0
    above_m: float = 0.03

    def __post_init__(self) -> None:
        """Refuse what makes no sense."""
        limits.within("noise", 0.0, 1.0, linear_m=self.linear_m, above_m=self.above_m)
        limits.within("noise", 0.0, 3.15, angular_rad=self.angular_rad)
        limits.within("noise", 0.0, 0.95, share=self.share)
        limits.within("noise", 1.0, 100.0, steps=self.steps)


@final
class Demonstrator:
    """Drives with noise or with another policy, and labels every step with what the expert would do.

    Privileged as the expert is. It is asked at every step, so a chunk of the driver is played step by step.
    """

    privileged = True

    def __init__(
        self,
        teacher: Policy,
        action_spec: ActionSpec,
        driver: Policy | None = None,
        expert_share: float = 0.3,
        segment_steps: int = 5,
        noise: Noise | None = None,
    ) -> None:
        """Put them together.

        Args:
            teacher: Says what is right; it is asked at every step, and the first action of its chunk counts.
            action_spec: What the environment expects; its bounds are the quantiles that actions are normalised with.
            driver: Drives in the teacher's place; None: the teacher drives.
            expert_share: Of the time that the teacher drives nevertheless, 0 to 1; without a driver it always drives.
            segment_steps: For so long one of them drives before it is drawn anew [steps].
            noise: Pushes while the teacher drives; None: none.

        Raises:
            ConfigurationError: A driver with other axes than the environment's.
        """
        limits.within("policy", 0.0, 1.0, expert_share=expert_share)
        limits.count("policy", 1, 10_000, segment_steps=segment_steps)
        if driver is not None and driver.action_spec.axes != action_spec.axes:
            raise ConfigurationError(
                f"policy.driver acts along {', '.join(driver.action_spec.axes)}; expected {', '.join(action_spec.axes)}"
            )
        self.action_spec = action_spec
        self.unnormalizer = ActionStatistics.from_spec(action_spec)
        self._teacher, self._driver, self._noise = teacher, driver, noise
        self._expert_share, self._segment_steps = expert_share, segment_steps
        self._begin(0)

    def describe(self) -> dict[str, object]:
        """What teacher and driver say of themselves."""
        driver = None if self._driver is None else dict(self._driver.describe())
        return {"teacher": dict(self._teacher.describe()), "driver": driver}

    def reset(self, seed: int) -> None:
        """Forget the last episode; pushes and turns at the wheel are drawn from this seed."""
        self._begin(seed)
        self._teacher.reset(seed)
        if self._driver is not None:
            self._driver.reset(seed)

    def _begin(self, seed: int) -> None:
        self._rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(STREAM,)))
        self._push = np.zeros(4)  # x, y, z [m], yaw [rad] in each step
        self._queue: deque[Proposal] = deque()
        self._steps_left, self._teacher_drives = 0, True

    def act(self, observation: Observation) -> ActionChunk:
        """One step: what is done, and beside it what would be right."""
        right = self._physical(self._teacher, self._teacher.act(observation).proposals[0])
        if right is None:
            return ActionChunk((Proposal(None, refusal="the teacher does not know what to do"),))
        done = self._driven(observation) or self._pushed(right, observation)
        return ActionChunk(
            (Proposal(self.unnormalizer.inverse(done), label=self.unnormalizer.inverse(right)),)
        )

    # ------------------------------------------------------------------------------------------------ who drives

    def _driven(self, observation: Observation) -> Action | None:
        """The driver's action; None when it is the teacher's turn, or the driver has none."""
        if self._driver is None:
            return None
        if self._steps_left == 0:
            self._teacher_drives = bool(self._rng.random() < self._expert_share)
            self._steps_left = self._segment_steps
            self._queue.clear()
        self._steps_left -= 1
        if self._teacher_drives:
            return None
        if not self._queue:
            self._queue.extend(self._driver.act(observation).proposals)
        return self._physical(self._driver, self._queue.popleft()) if self._queue else None

    def _physical(self, policy: Policy, proposal: Proposal) -> Action | None:
        action: NormalizedAction | None = proposal.action
        return None if action is None else policy.unnormalizer.unnormalize(action)

    # ----------------------------------------------------------------------------------------------------- pushes

    def _pushed(self, action: Action, observation: Observation) -> Action:
        """The action with the push of this step. The gripper is left alone."""
        noise, felt = self._noise, observation.proprioception
        if noise is None or noise.share == 0.0:
            return action
        size = np.array([noise.linear_m] * 3 + [noise.angular_rad])
        self._push = next_push(self._push, self._rng, noise.share, noise.steps, size)
        if felt is not None and felt.end_effector_pose[2] <= noise.above_m:
            return action
        x, y, z, roll, pitch, yaw, gripper = action.values
        dx, dy, dz, turn = self._push.tolist()
        return Action((x + dx, y + dy, z + dz, roll, pitch, yaw + turn, gripper))
