"""Why episodes failed: the first reason that holds."""

from typing import Any

import pytest

from vla_runtime.evaluation.failures import FAILURES, failure_class

PLAIN = {
    "status": "finished",
    "success_at_end": False,
    "success_once": False,
    "ended_by": "environment",
    "stage": "lifted",
    "target": "lemon",
    "first_lifted": "lemon",
    "wrong_target": False,
    "drops": 0,
}


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ({"success_at_end": True, "wrong_target": True}, None),
        ({"status": "crashed"}, "crashed"),
        ({"wrong_target": True, "ended_by": "guard_stop"}, "wrong place"),
        ({"first_lifted": "can", "ended_by": "guard_stop"}, "wrong thing"),
        ({"ended_by": "guard_stop", "drops": 1}, "stopped by a guard"),
        ({"ended_by": "held_too_long"}, "held too long"),
        ({"ended_by": "no_action_in_time"}, "no action in time"),
        ({"success_once": True, "drops": 1}, "undone"),
        ({"drops": 2}, "dropped"),
        ({}, "not brought there"),
        ({"stage": "over_target"}, "not released"),
        ({"stage": "started", "first_lifted": None}, "not reached"),
        ({"stage": None, "first_lifted": None}, "out of time"),
    ],
)
def test_the_first_reason_that_holds(told: dict[str, Any], expected: str | None) -> None:
    assert failure_class({**PLAIN, **told}) == expected
    assert expected in (None, "crashed", *FAILURES)
