"""command, advance and observe are what step is made of, for callers for whom time goes on while they think."""

import numpy as np
import pytest

from sim.environment import TabletopEnv
from sim.errors import InvalidAction, InvalidSetting, SimulatorError
from sim.experts.tabletop import decide
from tests.sim.conftest import still

AHEAD = np.array([0.03, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0])  # [m] and opening


@pytest.fixture
def bare() -> TabletopEnv:
    env = TabletopEnv("pick", cameras={})
    env.reset(seed=4)
    return env


def test_the_parts_make_the_same_episode_as_step(env: TabletopEnv) -> None:
    outcomes = []
    for whole in (True, False):
        env.reset(seed=3)
        while not (env.terminated or env.truncated):
            action = decide(env.state(), env.goal, env.limits)
            if whole:
                env.step(action)
            else:
                env.command(action)
                env.advance(env.period_s)
                env.observe()
        outcomes.append(env.outcome())
    assert outcomes[0] == outcomes[1]
    assert outcomes[0]["success_at_end"]


def test_a_command_alone_moves_nothing(bare: TabletopEnv) -> None:
    before = bare.state().tool_position
    bare.command(AHEAD)
    assert bare.state().tool_position == before
    assert bare.time_s == 0.0


def test_the_arm_holds_its_last_target_when_no_new_command_comes(bare: TabletopEnv) -> None:
    start = bare.state().tool_position[0]
    bare.command(AHEAD)
    bare.advance(3.0)
    assert bare.state().tool_position[0] - start == pytest.approx(0.03, abs=2e-3)


def test_a_new_command_drops_the_rest_of_the_last_way_but_not_its_target(bare: TabletopEnv) -> None:
    start = bare.state().tool_position[0]
    bare.command(AHEAD)
    bare.advance(bare.period_s / 2)
    bare.command(AHEAD)
    bare.advance(1.0)
    assert bare.state().tool_position[0] - start == pytest.approx(0.06, abs=2e-3)


def test_a_refused_command_leaves_the_last_one_going(bare: TabletopEnv) -> None:
    start = bare.state().tool_position[0]
    bare.command(AHEAD)
    with pytest.raises(InvalidAction):
        bare.command(np.zeros(3))
    bare.advance(1.0)
    assert bare.state().tool_position[0] - start == pytest.approx(0.03, abs=2e-3)


def test_short_waits_do_not_drift(bare: TabletopEnv) -> None:
    """30 ms is not a multiple of the motor interval of 1/60 s."""
    bare.command(still())
    for asked in range(1, 101):
        bare.advance(0.030)
        assert -1e-9 <= bare.time_s - asked * 0.030 < 1 / 60 + 1e-9


def test_a_wait_is_rounded_up_and_no_wait_is_none(bare: TabletopEnv) -> None:
    bare.advance(0.0)
    assert bare.time_s == 0.0
    bare.advance(0.001)
    assert bare.time_s == pytest.approx(1 / 60)


def test_the_end_can_be_read_between_the_parts(bare: TabletopEnv) -> None:
    bare.advance(bare.time_limit_s - 0.5)
    assert (bare.terminated, bare.truncated, bare.reward) == (False, False, 0.0)
    bare.advance(0.5)
    assert (bare.terminated, bare.truncated) == (False, True)


@pytest.mark.parametrize("duration_s", [-0.1, float("nan"), float("inf")])
def test_impossible_durations_are_refused(bare: TabletopEnv, duration_s: float) -> None:
    with pytest.raises(InvalidSetting, match=r"expected 0 or more \[s\]"):
        bare.advance(duration_s)


def test_parts_before_reset_are_refused() -> None:
    env = TabletopEnv("pick", cameras={})
    for part in (lambda: env.command(still()), lambda: env.advance(0.1), lambda: env.terminated):
        with pytest.raises(SimulatorError, match="call reset first"):
            part()
    env.close()
