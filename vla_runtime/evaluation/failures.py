"""Why an episode failed, in one word or three: what a person would look for in its video first."""

from collections.abc import Mapping
from typing import Any

CRASHED = "crashed"
BY_END = {
    "guard_stop": "stopped by a guard",
    "held_too_long": "held too long",
    "no_action_in_time": "no action in time",
}
BY_STAGE = {
    "started": "not reached",
    "reached": "not grasped",
    "grasped": "not lifted",
    "lifted": "not brought there",
    "over_target": "not released",
}
FAILURES = (
    "wrong place",
    "wrong thing",
    *BY_END.values(),
    "undone",
    "dropped",
    *BY_STAGE.values(),
    "out of time",
)


def failure_class(result: Mapping[str, Any]) -> str | None:
    """The class of a failed episode; None for a success. The first of these that holds.

    crashed: it broke off. wrong place: let go where it could be mistaken for the right one. wrong thing: the first thing lifted was
    another one. Then what a guard or the loop ended. undone: it had succeeded, and not at the end. dropped: it left the grip on the
    way. Otherwise how far it had come: not reached, not grasped, not lifted, not brought there, not released.
    """
    if result["status"] == "crashed":
        return CRASHED
    if result["success_at_end"]:
        return None
    lifted = result.get("first_lifted")
    if result.get("wrong_target"):
        return "wrong place"
    if lifted is not None and lifted != result.get("target"):
        return "wrong thing"
    ended = BY_END.get(str(result.get("ended_by")))
    if ended is not None:
        return ended
    if result.get("success_once"):
        return "undone"
    if result.get("drops"):
        return "dropped"
    return BY_STAGE.get(str(result.get("stage")), "out of time")
