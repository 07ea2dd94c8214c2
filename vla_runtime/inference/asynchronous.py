"""Asynchronous inference: the loop never waits. While the policy thinks, the last plan is played on."""

import math
from dataclasses import replace
from typing import Literal, final

from vla_runtime import limits
from vla_runtime.errors import ConfigurationError
from vla_runtime.inference.deadlines import DeadlineLadder
from vla_runtime.inference.delays import DelayEstimate
from vla_runtime.inference.plans import (
    AnchoredPlan,
    Plan,
    RawPlan,
    WayPoint,
    anchored,
    averaged,
    present,
)
from vla_runtime.inference.workers import Finished, HeldBack, Threaded, Worker
from vla_runtime.interfaces import Clock, Policy
from vla_runtime.types import Action, Candidate, Observation, Proposal

TOO_LATE_BEFORE_ERROR = 3  # chunks in a row that are over when they come: not a spike, nor a warm-up
ALIGNMENTS = ("anchored", "roll_forward", "naive", "drop_late_deltas")
Alignment = Literal["anchored", "roll_forward", "naive", "drop_late_deltas"]


@final
class AsynchronousInference:
    """Runs the policy beside the loop and plays its plans by time stamp.

    Alignments:
        anchored: Way-points from the observed pose; those whose time has passed are skipped.
        roll_forward: The policy is told which actions will be executed before its own (`Observation.pending`), and its
            plan begins after them. For policies that give one action at a time.
        naive, drop_late_deltas: Raw deltas, from the first one or without the late ones. Known to be bad: to compare with.
    """

    def __init__(
        self,
        policy: Policy,
        ladder: DeadlineLadder,
        alignment: Alignment = "anchored",
        replan_after_steps: int = 1,
        ensemble_plans: int = 1,
        ensemble_decay: float = 0.0,
        first_latency_s: float = 0.2,
    ) -> None:
        """Set it up.

        Args:
            policy: What to run.
            ladder: What is done when there is no action in time.
            alignment: How a chunk that comes late is played.
            replan_after_steps: Fewest control periods from one inference to the next.
            ensemble_plans: So many of the newest plans are averaged; 1: the newest wins.
            ensemble_decay: The k-th oldest plan has weight exp(-decay k), as in ACT; 0: all the same.
            first_latency_s: Expected before the first measurement [s].
        """
        if alignment not in ALIGNMENTS:
            raise ConfigurationError(f"inference.alignment={alignment!r}: expected {', '.join(ALIGNMENTS)}")
        if ensemble_plans > 1 and alignment not in ("anchored", "roll_forward"):
            raise ConfigurationError(
                f"inference.ensemble_plans={ensemble_plans} with alignment {alignment}: raw deltas cannot be averaged"
            )
        limits.count(
            "inference", 1, 1000, replan_after_steps=replan_after_steps, ensemble_plans=ensemble_plans
        )
        limits.within("inference", -10.0, 10.0, ensemble_decay=ensemble_decay)
        limits.within("inference", 0.0, 60.0, first_latency_s=first_latency_s)
        self._policy, self._ladder, self._alignment = policy, ladder, alignment
        self._spec = policy.action_spec
        self._period_s = 1.0 / self._spec.control_hz
        self._replan_s = replan_after_steps * self._period_s
        self._kept, self._decay = ensemble_plans, ensemble_decay
        self._first_latency_s = first_latency_s
        self._worker: Worker | None = None

    def reset(self, seed: int, clock: Clock) -> None:
        """Start an episode on a clock. Raises ConfigurationError for a policy that cannot run in another thread."""
        if self._worker is not None:
            self._worker.close()
        if clock.real_time and self._policy.privileged:
            raise ConfigurationError(
                "inference=asynchronous with clock=realtime: this policy reads the simulator, which another thread must "
                "not; expected clock=simulated or inference=synchronous"
            )
        self._policy.reset(seed)
        self._clock = clock
        self._worker = Threaded(self._policy, clock) if clock.real_time else HeldBack(self._policy, clock)
        self._delay = DelayEstimate(self._first_latency_s)
        self._plans: list[Plan] = []
        self._started_s = -math.inf
        self._last: Action | None = None
        self._missing_since_s: float | None = None
        self._too_late = 0
        self._refused: Candidate | None = None

    def propose(self, observation: Observation) -> Candidate:
        """What to do in this control period."""
        now_s = self._clock.now_s()
        here = present(observation)
        self._collect(here, now_s)
        if self._due(now_s):
            self._start(observation, here, now_s)
            self._collect(here, now_s)
        self._forget(now_s)
        candidate = self._planned(now_s, here)
        if candidate is None:
            if self._missing_since_s is None:
                self._missing_since_s = now_s
            refused, self._refused = self._refused, None
            if refused is not None:
                return refused  # once; then the ladder goes on
            return self._ladder.rung(self._last, now_s - self._missing_since_s, self._period_s)
        self._missing_since_s = None
        self._last = candidate.action or self._last
        return candidate

    def drop_chunk(self) -> None:
        """Throw the plans away. What is being computed is kept: it starts from the pose at which it was observed."""
        self._plans = []

    # ---------------------------------------------------------------------------------------------- thinking

    def _due(self, now_s: float) -> bool:
        """Whether the next inference should begin."""
        assert self._worker is not None
        if self._worker.busy:
            return False
        remaining_s = max((plan.remaining_s(now_s) for plan in self._plans), default=0.0)
        soon_over = remaining_s <= self._delay.p95_s + self._period_s
        return soon_over or now_s - self._started_s >= self._replan_s - 1e-9

    def _start(self, observation: Observation, here: WayPoint | None, now_s: float) -> None:
        assert self._worker is not None
        self._started_s = now_s
        if self._alignment == "roll_forward":
            observation = replace(observation, pending=self._upcoming(here, now_s))
        self._worker.start(observation)

    def _upcoming(self, here: WayPoint | None, now_s: float) -> tuple[Action, ...]:
        """What will be executed before a plan that is begun now can start."""
        count = math.ceil(self._delay.p95_s / self._period_s - 1e-6)
        actions: list[Action] = []
        for k in range(count):
            candidate = self._planned(now_s + k * self._period_s, here)
            if here is None:
                break
            gripper = candidate.action.values[-1] if candidate and candidate.action else here.gripper
            still = Action((0.0,) * 6 + (gripper,))
            action = candidate.action if candidate and candidate.action else still
            actions.append(action)
            here = here.after(action)
        return tuple(actions)

    def _collect(self, here: WayPoint | None, now_s: float) -> None:
        """Make a plan of what has been computed."""
        assert self._worker is not None
        finished = self._worker.collect()
        if finished is None:
            return
        self._delay.add(finished.latency_s)
        plan = self._plan(finished, now_s)
        self._refused = _refusal(finished)
        if plan is not None:
            self._plans = [*self._plans, plan]

    def _plan(self, finished: Finished, now_s: float) -> Plan | None:
        seen = finished.observation
        deltas = self._deltas(finished)
        if not deltas:
            return None
        if self._alignment in ("naive", "drop_late_deltas"):
            late = round((now_s - seen.capture_time_s) / self._period_s)
            first = late if self._alignment == "drop_late_deltas" else 0
            return RawPlan(deltas[first:], seen.capture_time_s, self._period_s)
        anchor = present(seen)
        if anchor is None:
            raise ConfigurationError(
                f"inference.alignment={self._alignment} needs a tool pose, and this environment reports none; "
                "expected inference=synchronous"
            )
        begins_s = seen.capture_time_s + len(seen.pending) * self._period_s
        for action in seen.pending:
            anchor = anchor.after(action)
        if self._alignment == "roll_forward":
            begins_s = max(begins_s, now_s)  # later than expected: its actions are played from now on
        elif self._over_already(finished, len(deltas)):
            return None
        return anchored(deltas, anchor, seen.capture_time_s, begins_s, self._spec)

    def _over_already(self, finished: Finished, count: int) -> bool:
        """Whether a chunk's time has passed when it comes. When that is the rule, the configuration is wrong."""
        length_s = count * self._period_s
        if finished.latency_s < length_s:
            self._too_late = 0
            return False
        self._too_late += 1
        if self._too_late >= TOO_LATE_BEFORE_ERROR:
            raise ConfigurationError(
                f"inference: a chunk of {count} actions lasts {length_s:.2f} s, and an inference took "
                f"{finished.latency_s:.2f} s; expected longer chunks, or alignment roll_forward"
            )
        return True

    def _deltas(self, finished: Finished) -> list[tuple[Action, Proposal]]:
        """The chunk in physical units, up to the first proposal without an action."""
        deltas: list[tuple[Action, Proposal]] = []
        for proposal in finished.chunk.proposals:
            if proposal.action is None:
                break
            deltas.append((self._policy.unnormalizer.unnormalize(proposal.action), proposal))
        return deltas

    # ----------------------------------------------------------------------------------------------- playing

    def _forget(self, now_s: float) -> None:
        """Keep the newest plans that have begun, and those that are still to begin."""
        begun = [plan for plan in self._plans if plan.has_begun(now_s)]
        over = begun[: -self._kept]
        self._plans = [plan for plan in self._plans if not any(plan is old for old in over)]

    def _planned(self, now_s: float, here: WayPoint | None) -> Candidate | None:
        """The action of the newest plan that has begun, or of several averaged."""
        begun = [plan for plan in self._plans if plan.has_begun(now_s)][-self._kept :]
        if self._kept > 1:
            return self._averaged(begun, now_s, here)
        action = begun[-1].action(now_s, here) if begun else None
        return Candidate(*action, begun[-1].planned_from_s) if action else None

    def _averaged(self, plans: list[Plan], now_s: float, here: WayPoint | None) -> Candidate | None:
        found = [(plan, plan.way_point(now_s)) for plan in plans if isinstance(plan, AnchoredPlan)]
        points = [(plan, *point) for plan, point in found if point is not None]
        if not points or here is None:
            return None
        weights = [math.exp(-self._decay * k) for k in range(len(points))]
        target = averaged([point for _, point, _ in points], weights)
        newest, _, proposal = points[-1]
        return Candidate(target.from_here(here, self._spec), proposal, newest.planned_from_s)


def _refusal(finished: Finished) -> Candidate | None:
    """What is said when a chunk begins without an action, or has none."""
    first = (
        finished.chunk.proposals[0] if finished.chunk.proposals else Proposal(None, refusal="an empty chunk")
    )
    if first.action is not None:
        return None
    seen_s = finished.observation.capture_time_s
    return Candidate(None, first, seen_s, first.refusal or "no action")
