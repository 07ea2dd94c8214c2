"""Folds guards into one: each sees what the one before it let through; the most severe verdict counts."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from math import isfinite
from typing import Any, final

from vla_runtime.errors import ConfigurationError
from vla_runtime.guards.finite import Finite
from vla_runtime.guards.order import Rank
from vla_runtime.guards.within_spec import WithinSpec
from vla_runtime.interfaces import Guard
from vla_runtime.specs import ActionSpec
from vla_runtime.types import Candidate, GuardContext, Intervention, Judgement, Verdict

Remember = Callable[[GuardContext, Judgement], Any]

FORGOTTEN = ""  # no guard's name: in the memory when a guard failed to remember


@dataclass(frozen=True)
class Forgotten:
    """In the memory of a guard that failed to remember: it cannot judge the next step."""

    why: str


@final
class GuardChain:
    """Guards in their fixed order. Finite is always first and WithinSpec always there: no configuration leaves them out.

    After a HOLD the guards that follow judge the hold action, so that a STOP is never hidden by a HOLD, and the motion
    comes to rest inside its limits. A STOP ends the chain.
    """

    def __init__(self, guards: Mapping[str, Guard], spec: ActionSpec) -> None:
        """Args: guards: by name, in any order; spec: what the environment expects of an action."""
        if guards and (spec.mode, spec.frame, spec.rotation) != ("delta", "base", "rpy_fixed_axes"):
            raise ConfigurationError(
                f"guards understand delta actions in the base frame with rpy_fixed_axes; this environment has "
                f"{spec.mode}, {spec.frame}, {spec.rotation}"
            )
        every: list[Guard] = [Finite(spec), *guards.values(), WithinSpec(spec)]
        self._count = len(spec.axes)
        self._take(sorted(every, key=_rank))
        names = [guard.name for guard in self.guards]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice:
            raise ConfigurationError(f"guards: {twice} is there twice; each guard is expected once")

    def _take(self, guards: Iterable[Guard]) -> None:
        """Use these guards, in this order."""
        self.guards: tuple[Guard, ...] = tuple(guards)
        # Methods looked up beforehand: in a loop over many classes that costs as much as calling them.
        self._checks = tuple(guard.check for guard in self.guards)
        self._remembering: tuple[tuple[str, Remember], ...] = tuple(
            (guard.name, guard.remember)  # type: ignore[attr-defined]
            for guard in self.guards
            if hasattr(guard, "remember")
        )
        for guard in self.guards:
            if hasattr(guard, "bind"):
                guard.bind(self.guards)  # type: ignore[attr-defined]

    def fold(self, candidate: Candidate, context: GuardContext) -> Judgement:
        """Judge what an engine wants. Nothing but the arguments decides."""
        verdict, action = Verdict.PASS, candidate.action
        interventions: list[Intervention] = []
        if action is None:
            missing = _without_action(candidate)
            verdict, action = missing.verdict, context.hold
            interventions.append(missing)
        if not self._is_action(context.hold.values):
            reason = f"the environment's hold action is {context.hold.values}, expected {self._count} finite numbers"
            interventions.append(Intervention("hold", Verdict.STOP, reason))
            verdict = Verdict.STOP
        interventions += self._forgotten(context)
        if interventions and interventions[-1].verdict is Verdict.STOP:
            return Judgement(Verdict.STOP, action, tuple(interventions))
        for check in self._checks:
            try:
                answer = check(action, context)
            except Exception as error:  # noqa: BLE001 a broken guard must not let anything through, whatever broke
                answer = _failed(check.__self__, f"{type(error).__name__}: {error}")
            if answer is None:
                continue
            answer = self._sound(check.__self__, answer)
            interventions.append(replace(answer, before=action))
            verdict = max(verdict, answer.verdict)
            if verdict is Verdict.STOP:
                break
            if answer.verdict is Verdict.HOLD:
                action = context.hold
            elif answer.verdict is Verdict.CLAMP and answer.action is not None:
                action = answer.action
        return Judgement(verdict, action, tuple(interventions))

    def remember(self, context: GuardContext, judgement: Judgement) -> Mapping[str, Any]:
        """What each guard wants to know of this step at the next one. A guard that fails to say stops the robot there."""
        memory: dict[str, Any] = {}
        for name, remember in self._remembering:
            try:
                memory[name] = remember(context, judgement)
            except Exception as error:  # noqa: BLE001 see above
                memory[name] = memory[FORGOTTEN] = Forgotten(f"{type(error).__name__}: {error}")
        return memory

    def _is_action(self, values: tuple[float, ...]) -> bool:
        return len(values) == self._count and (isfinite(sum(values)) or all(map(isfinite, values)))

    def _forgotten(self, context: GuardContext) -> list[Intervention]:
        """STOP for the first guard that could not say what it wants to remember."""
        if FORGOTTEN not in context.memory:
            return []
        for guard in self.guards:
            memory = context.memory.get(guard.name)
            if isinstance(memory, Forgotten):
                return [_failed(guard, memory.why)]
        return []

    def _sound(self, guard: Guard, answer: Intervention) -> Intervention:
        """The answer, if what it lets through is an action."""
        if answer.verdict is not Verdict.CLAMP:
            return answer
        if answer.action is None:
            return _failed(guard, "CLAMP without an action")
        return (
            answer
            if self._is_action(answer.action.values)
            else _failed(guard, f"CLAMP to {answer.action.values}")
        )


def _rank(guard: Guard) -> Rank:
    return getattr(guard, "rank", Rank.CUSTOM)


def _failed(guard: Guard, why: str) -> Intervention:
    return Intervention(guard.name, Verdict.STOP, f"guard {guard.name} failed: {why}")


def _without_action(candidate: Candidate) -> Intervention:
    """HOLD, because there is no action; STOP when the engine has given up waiting for one."""
    refused = candidate.proposal is not None
    verdict = Verdict.STOP if candidate.give_up else Verdict.HOLD
    return Intervention("policy" if refused else "deadline", verdict, candidate.reason or "no action")
