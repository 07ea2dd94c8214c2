"""vla-benchmark compare: seed by seed, and refusing what cannot be compared."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from vla_runtime.commands import benchmark
from vla_runtime.errors import ConfigurationError

SETTINGS = {
    "seed": 0,
    "policy": {"name": "one"},
    "cases": {"plain": ["task=place_in"], "moved": ["task=stack"]},
}


def written(folder: Path, policy: str = "one", **outcomes: Sequence[bool | None]) -> Path:
    """Results of cases; None is a crash."""
    folder.mkdir()
    lines = [{"settings": {**SETTINGS, "policy": {"name": policy}}, "overrides": [f"policy={policy}"]}]
    for case, successes in outcomes.items():
        for seed, success in enumerate(successes):
            crashed = {"case": case, "status": "crashed", "seed": seed, "error": "x"}
            lines.append(
                crashed if success is None else {**crashed, "status": "finished", "success_at_end": success}
            )
    (folder / "results.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


def test_it_counts_the_seeds_that_both_have(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a = written(tmp_path / "a", plain=[True] * 10 + [False] * 10 + [None, True])
    b = written(tmp_path / "b", policy="two", plain=[True] * 9 + [False] + [True] * 9 + [False] + [True])
    out = tmp_path / "comparison.json"
    assert benchmark.main(["compare", str(a), str(b), f"out={out}"]) == 0
    told = capsys.readouterr().out
    assert "They differ in: policy.name" in told
    assert "on 20 seeds" in told
    (row,) = json.loads(out.read_text())["cases"]
    assert (row["both"], row["only_first"], row["only_second"], row["neither"]) == (9, 1, 9, 1)
    assert row["difference"] == pytest.approx(0.4)
    assert row["p"] == pytest.approx(2 * 11 / 2**10)  # one or none of ten fair coins, on either side
    assert row["p_any_time"] > row["p"]
    assert row["interval"][0] < 0.4 < row["interval"][1]


def test_several_cases_are_corrected(tmp_path: Path) -> None:
    a = written(tmp_path / "a", plain=[False] * 10, moved=[False] * 10)
    b = written(tmp_path / "b", plain=[True] * 10, moved=[True, *[False] * 9])
    out = tmp_path / "comparison.json"
    benchmark.main(["compare", str(a), str(b), f"out={out}"])
    rows = {row["case"]: row for row in json.loads(out.read_text())["cases"]}
    assert rows["plain"]["p_corrected"] == pytest.approx(2 * rows["plain"]["p"])
    assert rows["moved"]["p_corrected"] == pytest.approx(rows["moved"]["p"])
    benchmark.main(["compare", str(a), str(b), "cases=[moved]", f"out={out}"])
    assert [row["case"] for row in json.loads(out.read_text())["cases"]] == ["moved"]


def test_a_policy_is_no_better_than_itself(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a = written(tmp_path / "a", plain=[True, False, True])
    b = written(tmp_path / "b", plain=[True, False, True])
    benchmark.main(["compare", str(a), str(b)])
    told = capsys.readouterr().out
    assert "+0.0 points" in told
    assert "no difference is seen" in told
    assert "They differ" not in told


def test_what_cannot_be_compared_is_refused(tmp_path: Path) -> None:
    a = written(tmp_path / "a", plain=[True])
    b = written(tmp_path / "b", moved=[True])
    crashed = written(tmp_path / "crashed", plain=[None])
    other = written(tmp_path / "other", plain=[True])
    lines = (other / "results.jsonl").read_text().replace("task=place_in", "task=pick")
    (other / "results.jsonl").write_text(lines)
    for arguments, message in (
        ([str(a)], "compare: 1 folders; expected two"),
        ([str(a), str(b)], "have no case in common"),
        ([str(a), str(crashed)], "no seed that both have finished"),
        ([str(a), str(other)], r"other settings: \['task=place_in'\] and \['task=pick'\]"),
        ([str(a), str(a), "cases=[nowhere]"], "'nowhere' is not in both; both have: plain"),
        ([str(a), str(a), "colour=red"], "unknown setting 'colour'; known: cases, out"),
        ([str(a), str(tmp_path / "empty")], "no results.jsonl; expected a folder that vla-benchmark wrote"),
    ):
        with pytest.raises(ConfigurationError, match=message):
            benchmark.main(["compare", *arguments])
