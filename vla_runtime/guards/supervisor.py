"""The chain at work: it remembers, it writes down before it lets anything through, and a STOP latches."""

from collections.abc import Callable, Mapping
from typing import Any, final

from vla_runtime.guards.chain import GuardChain
from vla_runtime.guards.frames import facts
from vla_runtime.types import (
    Action,
    Candidate,
    GuardContext,
    Intervention,
    Judgement,
    Observation,
    Verdict,
)

Write = Callable[[GuardContext, Candidate, Judgement], None]
NO_RECORD = "the record of guards cannot be written"


@final
class Supervisor:
    """Judges one step after the other."""

    def __init__(self, chain: GuardChain) -> None:
        """Args: chain: what judges."""
        self.chain = chain
        self._memory: Mapping[str, Any] = {}
        self._write: Write | None = None
        self.latched: str | None = None
        self._frames = {"frames"} <= {guard.name for guard in chain.guards}

    def record_with(self, write: Write | None) -> None:
        """Write every judgement with this from now on, before it is let through."""
        self._write = write

    def reset(self) -> None:
        """Forget the last episode. A latched STOP is not forgotten: that takes `acknowledge`."""
        self._memory = {}

    def acknowledge(self) -> None:
        """The operator has looked, and lets the robot move again."""
        self.latched = None

    def judge(self, candidate: Candidate, observation: Observation, hold: Action, now_s: float) -> Judgement:
        """The most severe verdict, and the action that is to be executed."""
        context = self.context(candidate, observation, hold, now_s)
        if self.latched is not None:
            return Judgement(Verdict.STOP, hold, (_still_stopped(self.latched),))
        judgement = self.chain.fold(candidate, context)
        if judgement.verdict is not Verdict.STOP and not self._written(context, candidate, judgement):
            candidate = Candidate(None, candidate.proposal, reason=NO_RECORD)
            judgement = self.chain.fold(candidate, context)
        if judgement.verdict is Verdict.STOP:
            self._written(context, candidate, judgement)
            self.latched = judgement.interventions[-1].reason or "STOP"
        self._memory = self.chain.remember(context, judgement)
        return judgement

    def context(
        self, candidate: Candidate, observation: Observation, hold: Action, now_s: float
    ) -> GuardContext:
        """What guards may look at."""
        tokens = candidate.proposal.tokens if candidate.proposal else None
        frames = {name: facts(image) for name, image in observation.images.items()} if self._frames else {}
        return GuardContext(observation, now_s, tokens, hold, frames, self._memory)

    def _written(self, context: GuardContext, candidate: Candidate, judgement: Judgement) -> bool:
        try:
            if self._write is not None:
                self._write(context, candidate, judgement)
        except (OSError, ValueError, TypeError):  # a full disk, or values that are not plain
            return False
        return True


def _still_stopped(why: str) -> Intervention:
    return Intervention("latch", Verdict.STOP, f"stopped before and not acknowledged by the operator: {why}")
