"""What an exported checkpoint writes by itself, as the policy that will drive the robot."""

from pathlib import Path
from typing import Any

from vla_runtime.specs import DELTA_AXES
from vla_runtime.types import Action, Observation


def decoded_tokens(session: Any, folder: Path, frames: int) -> dict[str, float]:
    """Load the checkpoint as a policy, which tests it, and compare its tokens with the recorded ones.

    Args:
        session: The training that made it.
        folder: The checkpoint.
        frames: Of each data set, at most; they were trained on. Data sets of other than 7 axes have no policy here.

    Returns:
        The share of equal tokens, and the number of frames.
    """
    from vla_runtime.models.openvla.images import EvaluationPath
    from vla_runtime.policies.openvla import OpenVLAPolicy

    words = session.vocabulary
    path = EvaluationPath(words.preprocessing.size, centre_crop=True, jpeg=False)
    right = total = seen = 0
    for robot in session.robots.values():
        if len(robot.statistics.q01) != len(DELTA_AXES):
            continue
        examples, rows = robot.scored["train"]
        policy = OpenVLAPolicy(
            str(folder),
            robot.key,
            camera=examples.camera,
            evaluation_path=path if session.augmented else None,
        )
        for row in rows[:frames]:
            frame = examples.frame(row)
            observation = Observation(frame.images, None, frame.instruction, 0.0, frame.step)
            tokens = policy.act(observation).proposals[0].tokens
            normalized = robot.statistics.normalize(Action(tuple(frame.action.tolist())))
            wanted = words.tokens.encode(normalized.values).tolist()
            right += sum(a == b for a, b in zip(tokens.ids if tokens else (), wanted, strict=False))
            total, seen = total + len(wanted), seen + 1
    return {"token_accuracy": right / max(total, 1), "frames": seen}
