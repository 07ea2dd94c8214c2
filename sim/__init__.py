"""A tabletop simulator for language-conditioned manipulation: Gymnasium over PyBullet.

Importing it registers one environment id per task (`tabletop/Pick-v0`, `tabletop/PlaceIn-v0`, ...) without loading
PyBullet. It knows nothing of models, of the robot bridge or of configuration files.
"""

import gymnasium

ENVIRONMENT_IDS = {
    "tabletop/Pick-v0": "pick",
    "tabletop/PlaceIn-v0": "place_in",
    "tabletop/PlaceOn-v0": "place_on",
    "tabletop/MoveNear-v0": "move_near",
    "tabletop/Stack-v0": "stack",
    "tabletop/PutCorrect-v0": "put_correct",
    "tabletop/PickMoving-v0": "pick_moving",
}

for _id, _task in ENVIRONMENT_IDS.items():
    gymnasium.register(_id, entry_point="sim.environment:TabletopEnv", kwargs={"task": _task})

__all__ = ["ENVIRONMENT_IDS"]
