"""vla-benchmark: the same results whatever the number of workers, and going on after a break."""

import json
from pathlib import Path

import pytest

from vla_runtime.commands import benchmark
from vla_runtime.errors import ConfigurationError

QUICK = ["environment.env.cameras.front.width=64", "environment.env.cameras.front.height=64", "episodes=2"]
SUITE = ["suite=embedded", "cases=[place_in,words]", "policy=expert"]


def lines(folder: Path) -> list[str]:
    return (folder / "results.jsonl").read_text().splitlines()


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("benchmark")
    assert benchmark.main([*SUITE, *QUICK, "workers=1", f"out={out}"]) == 0
    return out


def test_results_and_summary(run: Path) -> None:
    episodes = [json.loads(line) for line in lines(run)[1:]]
    assert [(episode["case"], episode["seed"]) for episode in episodes] == [
        ("place_in", 0),
        ("place_in", 1),
        ("words", 0),
        ("words", 1),
    ]
    assert all(episode["success_at_end"] for episode in episodes)
    assert all(episode["first_lifted"] == episode["target"] for episode in episodes)
    scores = {score["case"]: score for score in json.loads((run / "summary.json").read_text())["scores"]}
    assert (scores["place_in"]["count"], scores["place_in"]["of"]) == (2, 2)
    assert scores["words"]["of"] == 1


def test_two_workers_give_the_same(run: Path, tmp_path: Path) -> None:
    assert benchmark.main([*SUITE, *QUICK, "workers=2", f"out={tmp_path}"]) == 0
    assert lines(tmp_path) == lines(run)


def test_nothing_is_run_twice_and_nothing_is_lost(run: Path, tmp_path: Path) -> None:
    whole = lines(run)
    cut = "\n".join(whole[:3]) + "\n" + whole[3][:40]  # a kill in the midst of a line
    (tmp_path / "results.jsonl").write_text(cut)
    assert benchmark.main([*SUITE, *QUICK, "workers=1", f"out={tmp_path}"]) == 0
    left = lines(tmp_path)
    assert [line for line in left if line != whole[3][:40]] == whole
    before = (tmp_path / "results.jsonl").read_bytes()
    assert benchmark.main([*SUITE, *QUICK, "workers=1", f"out={tmp_path}"]) == 0
    assert (tmp_path / "results.jsonl").read_bytes() == before


def test_a_bar_that_is_not_met_is_an_exit_code(tmp_path: Path) -> None:
    settings = ["suite=embedded", "cases=place_in", "policy=zero", "environment.env.time_limit_s=1.0"]
    assert benchmark.main([*settings, *QUICK, "workers=1", f"out={tmp_path}"]) == 1


def test_a_policy_that_needs_no_picture_is_found_out(tmp_path: Path) -> None:
    assert (
        benchmark.main(
            [
                "suite=embedded",
                "cases=blank",
                "policy=expert",
                "episodes=1",
                "workers=1",
                f"out={tmp_path}",
            ]
        )
        == 1
    )
    assert json.loads((tmp_path / "summary.json").read_text())["scores"][0]["count"] == 1


def test_results_of_other_settings_are_not_mixed(run: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"guards\.|seed=5: the results in .* made with seed=0"):
        benchmark.main([*SUITE, *QUICK, "seed=5", f"out={run}"])


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("cases=[nowhere]", "unknown case 'nowhere'; known: place_in"),
        ("cases=[]", "expected at least one name"),
        ("episodes=0", "episodes=0: expected a whole number"),
        ("seed=536870912", "expected a whole number from 0 to 536870911"),
        ("suite=luck", "unknown suite 'luck'"),
    ],
)
def test_mistakes_are_one_line(argument: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=message):
        benchmark.main(["suite=embedded", argument, f"out={tmp_path}"])
