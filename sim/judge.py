"""Success, stage and mistakes of an episode, judged on the simulator's state as it goes on."""

from dataclasses import dataclass

from sim.state import SimulatorState
from sim.tasks.problem import Goal, Stage

HOLD_S = 0.5  # [s] simulated, that a goal must stay satisfied to count
LIFTED_M = 0.02  # [m] above where it lay
REACH_M = 0.04  # [m] from the tool point to the thing
MOVED_M = 0.05  # [m] that another thing may be moved before it is listed


@dataclass
class Judge:
    """Watches one episode.

    Attributes:
        goal: What is to be achieved.
        start: The state at the start.
        held_s: For how long the goal has been satisfied without a break [s].
        success_once: Whether it was ever satisfied for HOLD_S.
        stage: The furthest stage.
        wrong_target: Whether the thing was ever let go in a wrong place that could be mistaken for the right one.
        drops: How often the thing left the grip above the table, away from its place.
        first_lifted: The first thing that was held above where it lay: whose name a policy heard.
    """

    goal: Goal
    start: SimulatorState
    held_s: float = 0.0
    success_once: bool = False
    stage: Stage = Stage.STARTED
    wrong_target: bool = False
    drops: int = 0
    first_lifted: str | None = None
    _was_lifted: bool = False

    @property
    def success(self) -> bool:
        """Whether the goal has now been satisfied for HOLD_S."""
        return self.held_s >= HOLD_S - 1e-9

    def watch(self, state: SimulatorState, elapsed_s: float) -> None:
        """Take in the state, some simulated time after the last one."""
        satisfied = self.goal.satisfied(state)
        self.held_s = self.held_s + elapsed_s if satisfied else 0.0
        self.success_once = self.success_once or self.success
        self.stage = max(self.stage, self._stage(state, satisfied=satisfied))
        self.wrong_target = self.wrong_target or self.goal.missed(state)
        if self.first_lifted is None and self._is_lifted(state, state.gripped):
            self.first_lifted = state.gripped

    def _stage(self, state: SimulatorState, *, satisfied: bool) -> Stage:
        target = self.goal.target
        lifted = state.gripped == target and self._is_lifted(state, target)
        if self._was_lifted and state.gripped != target and not self.goal.delivered(state):
            self.drops += 1
        self._was_lifted = lifted
        if satisfied:
            return Stage.PLACED
        if lifted:
            return Stage.OVER_TARGET if self.goal.over_target(state) else Stage.LIFTED
        if state.gripped == target:
            return Stage.GRASPED
        return Stage.REACHED if state.distance_to_tool(target) < REACH_M else Stage.STARTED

    def _is_lifted(self, state: SimulatorState, name: str | None) -> bool:
        """Whether a body is higher than where it lay; what is no body of the scene, such as the robot, never is."""
        if name is None or name not in state.bodies:
            return False
        return state.bodies[name].position[2] - self.start.bodies[name].position[2] > LIFTED_M

    def others_moved(self, state: SimulatorState) -> list[str]:
        """Names of other things that lie more than 5 cm from where they were at the start."""
        return [
            name
            for name, body in state.bodies.items()
            if name != self.goal.target
            and not body.item.kind.driven
            and _distance(body.position, self.start.bodies[name].position) > MOVED_M
        ]


def _distance(a: tuple[float, ...], b: tuple[float, ...]) -> float:
    return sum((i - j) ** 2 for i, j in zip(a, b, strict=True)) ** 0.5
