"""Take any one guard of the default profile away, and a danger is no longer averted."""

import pytest

from tests.vla_runtime.guards.scenarios import SCENARIOS, Scenario, chain, played


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.guard)
def test_the_whole_chain_averts_it(scenario: Scenario) -> None:
    guards = chain(*scenario.overrides, spec=scenario.spec, limits=scenario.limits)
    judgement = played(guards, scenario.steps)[-1]
    assert scenario.averted(judgement), judgement


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.guard)
def test_without_this_guard_nothing_averts_it(scenario: Scenario) -> None:
    guards = chain(*scenario.overrides, spec=scenario.spec, limits=scenario.limits)
    guards._take(guard for guard in guards.guards if guard.name != scenario.guard)
    judgement = played(guards, scenario.steps)[-1]
    assert not scenario.averted(judgement), judgement


def test_every_guard_of_the_profile_has_a_danger() -> None:
    assert {scenario.guard for scenario in SCENARIOS} == {guard.name for guard in chain().guards}
