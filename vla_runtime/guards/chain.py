"""Folds guards into one: each sees what the one before it let through; the most severe verdict counts."""

from collections.abc import Mapping
from typing import final

from vla_runtime.guards.within_spec import WithinSpec
from vla_runtime.interfaces import Guard
from vla_runtime.specs import ActionSpec
from vla_runtime.types import Action, GuardContext, Intervention, Judgement, Verdict


@final
class GuardChain:
    """Guards in order. The last one, WithinSpec, is always there: no configuration can leave it out."""

    def __init__(self, guards: Mapping[str, Guard], spec: ActionSpec) -> None:
        """Args: guards: by name, in order; spec: what the environment expects of an action."""
        self.guards: tuple[Guard, ...] = (*guards.values(), WithinSpec(spec))

    def judge(self, action: Action, context: GuardContext) -> Judgement:
        """Judge one action. The first HOLD or STOP ends the chain: there is nothing left to let through."""
        verdict = Verdict.PASS
        interventions: tuple[Intervention, ...] = ()
        for guard in self.guards:
            judgement = _answer(guard, action, context)
            verdict = max(verdict, judgement.verdict)
            interventions += judgement.interventions
            if verdict >= Verdict.HOLD:
                return Judgement(verdict, action, interventions)
            action = judgement.action
        return Judgement(verdict, action, interventions)


def _answer(guard: Guard, action: Action, context: GuardContext) -> Judgement:
    """A guard's answer; a guard that fails stops the robot."""
    try:
        return guard.check(action, context)
    except Exception as error:  # noqa: BLE001 a broken guard must not let anything through, whatever broke
        reason = f"guard {guard.name} failed: {type(error).__name__}: {error}"
        return Judgement(Verdict.STOP, action, (Intervention(guard.name, Verdict.STOP, reason),))
