"""What the loop may expect of every environment."""

from collections.abc import Iterator
from typing import Any

import pytest

from vla_runtime.config import _build, choices, compose_config
from vla_runtime.errors import EnvironmentNotReady
from vla_runtime.interfaces import Environment

OWN = ["environment.env.cameras.front.width=32", "environment.env.cameras.front.height=32"]
SMALL = {"panda_gym": [f"environment.env.settings.render_{side}=32" for side in ("width", "height")]}


@pytest.fixture(params=choices("environment"))
def environment(request: pytest.FixtureRequest) -> Iterator[Environment]:
    small = SMALL.get(request.param, OWN)
    made: Any = _build(compose_config("run_episode", [f"environment={request.param}", *small]).environment)
    yield made
    made.close()
    made.close()


def test_reset_observe_act_stop(environment: Environment) -> None:
    environment.reset(0)
    first = environment.observe(1.5)
    assert (first.step, first.capture_time_s) == (0, 1.5)
    assert first.instruction
    assert first.images
    environment.act(environment.hold_action(first))
    assert environment.observe(2.0).step == 1
    environment.stop()
    environment.stop()
    assert environment.outcome()["success_at_end"] is False


def test_act_wants_a_reset_first(environment: Environment) -> None:
    environment.reset(0)
    hold = environment.hold_action(environment.observe(0.0))
    environment.stop()
    with pytest.raises(EnvironmentNotReady, match="after stop"):
        environment.act(hold)
    environment.reset(0)
    environment.act(hold)


def test_hold_does_not_move(environment: Environment, request: pytest.FixtureRequest) -> None:
    """panda-gym's own controller creeps: it adds no motion to where the arm is, not to where it was told to be."""
    environment.reset(1)
    before = environment.observe(0.0)
    for _ in range(5):
        environment.act(environment.hold_action(environment.observe(0.0)))
    after = environment.observe(0.0)
    assert before.proprioception is not None
    assert after.proprioception is not None
    assert after.proprioception.end_effector_pose == pytest.approx(
        before.proprioception.end_effector_pose,
        abs=2e-3 if request.node.callspec.params["environment"] == "panda_gym" else 1e-3,
    )


def test_hold_is_inside_the_spec(environment: Environment) -> None:
    environment.reset(1)
    spec = environment.action_spec
    for value, low, high in zip(
        environment.hold_action(environment.observe(0.0)).values, spec.low, spec.high, strict=True
    ):
        assert low <= value <= high


def test_equal_seeds_give_equal_episodes(environment: Environment) -> None:
    outcomes = []
    for _ in range(2):
        environment.reset(7)
        for _ in range(3):
            environment.act(environment.hold_action(environment.observe(0.0)))
        outcomes.append(dict(environment.outcome()))
    assert outcomes[0] == outcomes[1]


def test_observe_before_reset_is_refused(environment: Environment) -> None:
    with pytest.raises(EnvironmentNotReady, match="reset"):
        environment.observe(0.0)
