"""vla-benchmark: the same results whatever the number of workers, and going on after a break."""

import json
from pathlib import Path

import pytest

from vla_runtime.commands import benchmark
from vla_runtime.errors import ConfigurationError
from vla_runtime.evaluation.results_log import read_timings

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


def test_a_ray_cluster_gives_the_same(run: Path, tmp_path: Path) -> None:
    assert benchmark.main([*SUITE, *QUICK, "executor=ray", "workers=2", f"out={tmp_path}"]) == 0
    assert lines(tmp_path) == lines(run)
    assert len(list((tmp_path / "films").iterdir())) == 4  # they come over the wire


def test_no_cluster_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"executor.address=127.0.0.1:1: no Ray cluster there"):
        benchmark.main([*SUITE, *QUICK, "executor=ray", "executor.address=127.0.0.1:1", f"out={tmp_path}"])


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


def test_the_report_and_its_films(run: Path) -> None:
    page = (run / "report.html").read_text()
    assert "2 of 2" in page
    assert sorted(path.name for path in (run / "films").iterdir()) == [
        "place_in_000000.jpg",
        "place_in_000000.mp4",
        "words_000000.jpg",
        "words_000000.mp4",
    ]  # one success of each case; there is no failure
    assert page.count("data:video/mp4") == 2
    stamps, timings = read_timings(run)
    assert [stamp["episodes"] for stamp in stamps] == [4]
    assert stamps[0]["stamp"]["machine"]["cores"] >= 1
    assert timings["place_in", 1]["wall_s"] > 0.0


def test_a_failure_is_filmed_and_a_success_is_not_where_only_failures_are_wanted(tmp_path: Path) -> None:
    zero = [
        "suite=embedded",
        "cases=place_in",
        "policy=zero",
        "environment.env.time_limit_s=1.0",
        *QUICK,
        "workers=1",
    ]
    benchmark.main([*zero, f"out={tmp_path}", "films.failures=1", "films.successes=0"])
    assert sorted(path.name for path in (tmp_path / "films").iterdir()) == [
        "place_in_000000.jpg",
        "place_in_000000.mp4",
    ]
    assert "not reached" in (tmp_path / "report.html").read_text()


def test_verifying(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert benchmark.main(["verify", str(run), "episodes=3"]) == 0
    assert "3 of 3 episodes are the same" in capsys.readouterr().out
    head, *episodes = [json.loads(line) for line in lines(run)]
    episodes[0]["state_hash"] = "0" * 32
    (tmp_path / "results.jsonl").write_text("".join(json.dumps(line) + "\n" for line in (head, *episodes)))
    assert benchmark.main(["verify", str(tmp_path), "episodes=4"]) == 1
    told = capsys.readouterr().out
    assert f"place_in, seed 0: state_hash was {'0' * 32}" in told
    assert "3 of 4 episodes are the same" in told


def test_what_was_made_by_another_version_is_not_verified(run: Path, tmp_path: Path) -> None:
    head, *episodes = [json.loads(line) for line in lines(run)]
    head["settings"]["environment"]["env"]["time_limit_s"] = 1.0
    (tmp_path / "results.jsonl").write_text("".join(json.dumps(line) + "\n" for line in (head, *episodes)))
    with pytest.raises(
        ConfigurationError, match=r"time_limit_s=.* made with environment.env.time_limit_s=1.0"
    ):
        benchmark.main(["verify", str(tmp_path)])


def test_a_case_ends_when_it_is_decided(tmp_path: Path) -> None:
    """The same episodes whatever the number of workers: the anytime interval of 0 of 5 excludes 90 %, that of 0 of 2 does not."""
    settings = [
        "suite=embedded",
        "cases=place_in",
        "policy=zero",
        "environment.env.time_limit_s=0.4",
        "sequential=true",
    ]
    small = [*settings, *QUICK[:2], "episodes=40", "films.failures=0", "films.successes=0"]
    for workers in (1, 2):
        assert benchmark.main([*small, f"workers={workers}", f"out={tmp_path / str(workers)}"]) == 1
    assert lines(tmp_path / "1") == lines(tmp_path / "2")
    count = len(lines(tmp_path / "1")) - 1
    assert 1 <= count < 10
    before = (tmp_path / "1" / "results.jsonl").read_bytes()
    assert benchmark.main([*small, "workers=1", f"out={tmp_path / '1'}"]) == 1
    assert (tmp_path / "1" / "results.jsonl").read_bytes() == before


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
        ("films.failures=-1", "films.failures=-1: expected a whole number from 0"),
    ],
)
def test_mistakes_are_one_line(argument: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=message):
        benchmark.main(["suite=embedded", argument, f"out={tmp_path}"])
