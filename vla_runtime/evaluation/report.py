"""report.html: what a benchmark came to, as one page that needs no network and fits a phone."""

import base64
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from vla_runtime.evaluation.failures import CRASHED, FAILURES, failure_class
from vla_runtime.evaluation.intervals import average_interval
from vla_runtime.evaluation.suites import Case, Score

TEMPLATE = "report.html"
EMBEDDED_MB = 24.0  # [MB] of videos inside the page; further ones are linked
SUCCESS = "success"
STAGES = ("capture", "preprocessing", "inference", "guards", "command")


@dataclass(frozen=True)
class Story:
    """All that a report tells.

    Attributes:
        policy: Its name.
        suite: Its name.
        checksum: Of the checkpoint, where there is one.
        cases: By name.
        scores: Of the cases.
        results: Of the episodes, by case.
        timings: Of the episodes, by case and seed.
        stamps: What it was run with, each with its `episodes`.
        films: Videos without suffix, by case and seed; those that were not made are left out of the page.
        command: That goes on with it.
        overrides: Settings of the command, to run an episode again.
        settings: All of them, as YAML.
        sequential: Whether cases ended when the answer was known.
    """

    policy: str
    suite: str
    checksum: str | None
    cases: Mapping[str, Case]
    scores: Sequence[Score]
    results: Mapping[str, Sequence[Mapping[str, Any]]]
    timings: Mapping[tuple[str, int], Mapping[str, Any]]
    stamps: Sequence[Mapping[str, Any]]
    films: Mapping[tuple[str, int], Path]
    command: str
    overrides: Sequence[str]
    settings: str
    sequential: bool = False


def write_report(path: Path, story: Story) -> None:
    """Write the page, whole or not at all."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = environment.get_template(TEMPLATE).render(_content(story))
    part = path.with_name(f".{path.name}.partial")
    part.write_text(page)
    part.replace(path)


def _content(story: Story) -> dict[str, Any]:
    rows = [_row(story, score) for score in story.scores]
    episodes = [result for results in story.results.values() for result in results]
    asked = [score for score in story.scores if score.met is not None]
    walls = [float(timing["wall_s"]) for timing in story.timings.values() if "wall_s" in timing]
    films = _films(story)
    return {
        "story": story,
        "first": rows[0],
        "rows": rows,
        "average": _average(story),
        "episodes": len(episodes),
        "crashed": sum(result["status"] == "crashed" for result in episodes),
        "met": sum(bool(score.met) for score in asked),
        "asked": len(asked),
        "cpu_minutes": sum(walls) / 60.0,
        "failures": [film for film in films if not film["success"]],
        "successes": [film for film in films if film["success"]],
        "classes": _seen_classes(rows),
        "crashes": [
            {"case": case, "seed": result["seed"], "error": result["error"]}
            for case, results in story.results.items()
            for result in results
            if result["status"] == "crashed"
        ],
    }


def _row(story: Story, score: Score) -> dict[str, Any]:
    case = story.cases[score.case]
    results = story.results[score.case]
    finished = [result for result in results if result["status"] == "finished"]
    reasons = Counter(failure_class(result) or SUCCESS for result in results)
    timings = [
        story.timings[score.case, int(result["seed"])]
        for result in finished
        if (score.case, int(result["seed"])) in story.timings
    ]
    return {
        "name": score.case,
        "note": case.note,
        "unit": "pairs" if case.judged == "pairs" else "episodes",
        "count": score.count,
        "of": score.of,
        "rate": 100.0 * score.count / score.of if score.of else None,
        "low": 100.0 * score.low,
        "high": 100.0 * score.high,
        "exact_low": 100.0 * score.exact_low,
        "exact_high": 100.0 * score.exact_high,
        "expected": score.expected,
        "bar": _bar(story, case),
        "met": score.met,
        "crashed": score.crashed,
        "once": sum(bool(result.get("success_once")) for result in finished),
        "finished": len(finished),
        "reasons": reasons,
        "total": max(len(results), 1),
        "wrong_target": sum(bool(result.get("wrong_target")) for result in finished),
        "drops": sum(int(result.get("drops") or 0) for result in finished),
        "simulated_s": _median(finished, "simulated_s"),
        "path_m": _median(finished, "path_m"),
        "sparc": _median(finished, "sparc"),
        "interventions": sum(sum((result.get("interventions") or {}).values()) for result in finished)
        / max(len(finished), 1),
        "latency_ms": {percentile: _typical(timings, percentile) for percentile in ("p50", "p95", "p99")},
    }


def _bar(story: Story, case: Case) -> float | None:
    """What is asked of a rate, in percent; where shares of another case are asked for, of what that one came to."""
    if case.at_least is not None:
        return 100.0 * case.at_least
    if case.at_most is not None:
        return 100.0 * case.at_most
    there = next((score for score in story.scores if score.case == case.share_of), None)
    if there is None or not there.of or case.at_least_share is None:
        return None
    return 100.0 * case.at_least_share * there.count / there.of


def _average(story: Story) -> dict[str, Any] | None:
    """Over the cases that count successes and that a good policy succeeds in; None when there are less than two."""
    counts = [
        (score.count, score.of)
        for score in story.scores
        if story.cases[score.case].judged == "success"
        and story.cases[score.case].at_most is None
        and score.of
    ]
    if len(counts) < 2:
        return None
    mean, low, high = average_interval(counts)
    return {"rate": 100.0 * mean, "low": 100.0 * low, "high": 100.0 * high, "cases": len(counts)}


def _median(results: Sequence[Mapping[str, Any]], key: str) -> float | None:
    values = [float(result[key]) for result in results if result.get(key) is not None]
    return statistics.median(values) if values else None


def _typical(timings: Sequence[Mapping[str, Any]], percentile: str) -> float | None:
    """Median over the episodes of one episode's percentile of a whole step [ms]."""
    values = [
        sum(float(timing["stage_ms"][stage][percentile]) for stage in STAGES if stage in timing["stage_ms"])
        for timing in timings
        if timing.get("stage_ms")
    ]
    return statistics.median(values) if values else None


def _seen_classes(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    seen = {reason for row in rows for reason in row["reasons"]}
    return [kind for kind in (SUCCESS, *FAILURES, CRASHED) if kind in seen]


def _films(story: Story) -> list[dict[str, Any]]:
    """The videos, failures first, then by case and seed; as many as have room inside the page, the others as links."""
    known = {
        (case, int(result["seed"])): result
        for case, results in story.results.items()
        for result in results
        if result["status"] == "finished"
    }
    there = [(known[key], *key, target) for key, target in story.films.items() if key in known]
    films: list[dict[str, Any]] = []
    room = EMBEDDED_MB * 1e6
    for result, case, seed, target in sorted(there, key=lambda one: bool(one[0]["success_at_end"])):
        video, poster = target.with_suffix(".mp4"), target.with_suffix(".jpg")
        if not (video.is_file() and poster.is_file()):
            continue
        size = video.stat().st_size
        inside = size <= room
        room -= size if inside else 0
        films.append(
            {
                "case": case,
                "seed": seed,
                "success": bool(result["success_at_end"]),
                "instruction": result.get("instruction", ""),
                "reason": failure_class(result),
                "ended": result.get("end_reason", ""),
                "seconds": result.get("simulated_s"),
                "video": _inline(video, "video/mp4") if inside else f"{video.parent.name}/{video.name}",
                "poster": _inline(poster, "image/jpeg"),
                "again": " ".join(["vla-run", f"seed={seed}", *_for_a_run(story, case)]),
            }
        )
    return films


def _for_a_run(story: Story, case: str) -> list[str]:
    """The settings of a case as vla-run takes them."""
    own = ("suite", "sequential", "seed")
    kept = [override for override in story.overrides if override.split("=")[0] not in own]
    return [*kept, *story.cases[case].overrides]


def _inline(path: Path, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"
