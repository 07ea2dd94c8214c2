"""The control runtime for vision-language-action models.

Importing this package loads neither torch nor PyBullet. Read `vla_runtime.loop` first.
"""

from vla_runtime.loop import run_episode
from vla_runtime.specs import ActionSpec, check_compatible
from vla_runtime.types import Action, ActionChunk, NormalizedAction, Observation, Proprioception, Verdict

__all__ = [
    "Action",
    "ActionChunk",
    "ActionSpec",
    "NormalizedAction",
    "Observation",
    "Proprioception",
    "Verdict",
    "check_compatible",
    "run_episode",
]
