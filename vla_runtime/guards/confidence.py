"""How sure the model was of its tokens, against a threshold calibrated for this checkpoint.

Advisory unless told otherwise: token entropy predicts failure only a little better than chance. The largest mean over a
few steps counts, not the mean over the episode (arXiv 2603.18342).
"""

import json
from pathlib import Path
from typing import Literal, final

from vla_runtime import limits
from vla_runtime.errors import ConfigurationError
from vla_runtime.guards.order import Rank
from vla_runtime.types import Action, GuardContext, Intervention, Judgement, Verdict


@final
class Confidence:
    """A remark, or HOLD, when the mean entropy of the last steps' tokens is above a threshold."""

    name = "confidence"
    rank = Rank.CONFIDENCE

    def __init__(
        self,
        window_steps: int,
        threshold_nats: float | None = None,
        calibration: str | None = None,
        verdict: Literal["advisory", "hold"] = "advisory",
        checkpoint_checksum: str | None = None,
    ) -> None:
        """Set the threshold, or say where it is.

        Args:
            window_steps: Over how many steps the entropy is averaged.
            threshold_nats: Mean entropy per token [nats]; None: from the calibration, or no judgement without one.
            calibration: File made by scripts/calibrate_confidence.py.
            verdict: "advisory" remarks, "hold" holds.
            checkpoint_checksum: Of the policy's checkpoint, which must be the calibrated one; the composition root
                passes it.
        """
        limits.count(self.name, 1, 1000, window_steps=window_steps)
        if verdict not in ("advisory", "hold"):
            raise ConfigurationError(f"confidence.verdict={verdict!r}: expected advisory or hold")
        if threshold_nats is not None and calibration is not None:
            raise ConfigurationError("confidence: threshold_nats and calibration are both set; expected one")
        if calibration is not None:
            threshold_nats = _calibrated(Path(calibration), window_steps, checkpoint_checksum)
        if threshold_nats is not None:
            limits.positive(self.name, threshold_nats=threshold_nats)
        self._window, self._threshold = window_steps, threshold_nats
        self._verdict = Verdict.HOLD if verdict == "hold" else Verdict.PASS

    def check(self, action: Action, context: GuardContext) -> Intervention | None:
        """Judge the mean entropy of this and the last steps."""
        if self._threshold is None:
            return None
        recent = self.remember(context, None)
        if len(recent) < self._window:
            return None
        mean = sum(recent) / len(recent)
        if mean <= self._threshold:
            return None
        reason = (
            f"mean token entropy of {len(recent)} steps {mean:.3g} nats, threshold {self._threshold:.3g} nats"
        )
        return Intervention(self.name, self._verdict, reason, None, mean, self._threshold, "nats")

    def remember(self, context: GuardContext, judgement: Judgement | None) -> tuple[float, ...]:
        """Mean entropies of the last steps."""
        past: tuple[float, ...] = context.memory.get(self.name, ())
        tokens = context.tokens
        if self._threshold is None or tokens is None or not tokens.entropies:
            return past
        return (*past, sum(tokens.entropies) / len(tokens.entropies))[-self._window :]


def _calibrated(file: Path, window_steps: int, checksum: str | None) -> float:
    try:
        content = json.loads(file.read_text())
        threshold, window = float(content["threshold_nats"]), int(content["window_steps"])
        calibrated_for = str(content["checkpoint_checksum"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigurationError(
            f"confidence.calibration={file}: expected a file of scripts/calibrate_confidence.py ({error})"
        ) from error
    if window != window_steps:
        raise ConfigurationError(
            f"confidence.window_steps={window_steps}: {file} was calibrated with {window}"
        )
    if checksum is not None and calibrated_for != checksum:
        raise ConfigurationError(
            f"confidence.calibration={file} is for the checkpoint {calibrated_for}, this one is {checksum}"
        )
    return threshold
