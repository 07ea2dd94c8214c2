"""The report: one page without a network, with what was counted, and nothing that a name could smuggle in."""

import re
import shutil
import subprocess
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from vla_runtime.evaluation.report import Story, write_report
from vla_runtime.evaluation.suites import read_cases, score_cases

SUITE = {
    "plain": {"episodes": 4, "at_least": 0.5, "note": "as usual"},
    "moved": {"episodes": 4, "share_of": "plain", "at_least_share": 0.9},
    "blank": {"episodes": 4, "at_most": 0.2},
}
STAMP = {
    "versions": {"python": "3.11.7", "torch": "2.13.0"},
    "machine": {"system": "Linux", "processor": "x86_64", "cpu": "A processor", "cores": 2, "gpu": None},
    "commit": "0123456789abcdef+",
}
BROWSER = next(
    (name for name in ("chromium", "chromium-browser", "google-chrome") if shutil.which(name)), None
)


def finished(seed: int, success: bool, **told: Any) -> dict[str, Any]:
    return {
        "status": "finished",
        "seed": seed,
        "success_at_end": success,
        "success_once": success,
        "stage": "placed" if success else "lifted",
        "target": "lemon",
        "first_lifted": "lemon",
        "wrong_target": False,
        "drops": 0,
        "ended_by": "environment",
        "end_reason": "the environment ended the episode",
        "interventions": {},
        "simulated_s": 6.5,
        "path_m": 1.25,
        "sparc": -2.5,
        "instruction": "put the <b>lemon</b> in the bowl",
        **told,
    }


@pytest.fixture
def story(tmp_path: Path) -> Story:
    cases = read_cases(SUITE)
    results = {
        "plain": [finished(seed, seed != 3) for seed in range(4)],
        "moved": [
            finished(0, False, ended_by="guard_stop", end_reason="contact_force: 24 N"),
            finished(1, True),
            {"status": "crashed", "seed": 2, "error": "ValueError: <script>"},
        ],
        "blank": [],
    }
    films = {
        (case, int(one["seed"])): tmp_path / f"{case}_{one['seed']}"
        for case in results
        for one in results[case]
    }
    for name in ("plain_3", "moved_0", "plain_0"):
        (tmp_path / f"{name}.mp4").write_bytes(b"film of " + name.encode())
        Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(tmp_path / f"{name}.jpg")
    stage_ms = {"inference": {"p50": 11.0, "p95": 12.0, "p99": 13.0, "max": 14.0}}
    return Story(
        policy="mine",
        suite="three",
        checksum="f00d" * 8,
        cases=cases,
        scores=score_cases(cases, results),
        results=results,
        timings={("plain", 0): {"wall_s": 3.0, "stage_ms": stage_ms}},
        stamps=[{"stamp": STAMP, "episodes": 7}],
        films=films,
        command="vla-benchmark policy=mine suite=three",
        overrides=["policy=mine", "suite=three"],
        settings="seed: 0\n",
    )


class Page(HTMLParser):
    """Tags, what is linked, and the text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.linked: list[str] = []
        self.tags: list[str] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.linked += [value or "" for name, value in attrs if name in ("src", "href", "poster")]

    def handle_data(self, data: str) -> None:
        self.text += " ".join(data.split()) + " "


def written(story: Story, folder: Path) -> tuple[str, Page]:
    write_report(folder / "report.html", story)
    html = (folder / "report.html").read_text()
    return html, Page(html)


def test_it_tells_what_was_counted(story: Story, tmp_path: Path) -> None:
    _, page = written(story, tmp_path)
    assert "3 of 4" in page.text
    assert "1 crashed" in page.text
    assert "7 episodes: A processor, 2 cores" in page.text
    assert "asked: at least 90 % of plain" in page.text
    assert "1 stopped by a guard" in page.text
    assert "11.0 ms" in page.text
    assert "not known yet" not in page.text.partition("blank")[0]


def test_failures_come_first_and_can_be_run_again(story: Story, tmp_path: Path) -> None:
    _, page = written(story, tmp_path)
    assert page.text.index("Failures") < page.text.index("Successes")
    assert page.tags.count("video") == 3
    assert "vla-run seed=3 policy=mine" in page.text
    assert "suite=three" not in page.text.partition("run it again")[2].partition("Successes")[0]


def test_it_needs_no_network_and_runs_nothing(story: Story, tmp_path: Path) -> None:
    html, page = written(story, tmp_path)
    assert page.linked
    assert all(link.startswith("data:") for link in page.linked)
    assert "script" not in page.tags
    assert page.tags.count("b") == len(re.findall("<b>|<b ", html))
    assert "put the <b>lemon</b> in the bowl" in page.text  # as text
    assert not re.search(r"url\(|@import|https?://", html)


def test_films_that_do_not_fit_are_linked(
    story: Story, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vla_runtime.evaluation.report.EMBEDDED_MB", 20e-6)
    _, page = written(story, tmp_path)
    assert [link.startswith("data:video") for link in page.linked if "jpeg" not in link] == [
        True,
        False,
        False,
    ]


def test_a_suite_that_asks_for_nothing(story: Story, tmp_path: Path) -> None:
    cases = read_cases({"plain": {"episodes": 4}})
    results = {"plain": story.results["plain"]}
    plain = replace(
        story, cases=cases, results=results, scores=score_cases(cases, results), stamps=[], timings={}
    )
    _, page = written(plain, tmp_path)
    assert "met by the rate" not in page.text
    assert "average of" not in page.text


@pytest.mark.skipif(BROWSER is None, reason="no Chromium: apt install chromium")
@pytest.mark.parametrize("width", [1100, 390])
def test_a_browser_shows_it_without_a_sideways_scroll(story: Story, tmp_path: Path, width: int) -> None:
    """A script in a frame around the page measures it, and a picture of it is not empty."""
    written(story, tmp_path)
    shot = tmp_path / "shot.png"
    (tmp_path / "frame.html").write_text(
        f'<body style="margin:0"><iframe id="f" src="report.html" style="border:0;width:{width}px;height:2400px"></iframe>'
        "<script>onload = () => { const d = document.getElementById('f').contentDocument.documentElement;"
        "document.title = d.scrollWidth + ' ' + d.clientWidth; }</script>"
    )
    command = [
        str(BROWSER),
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--allow-file-access-from-files",
    ]
    command += [f"--user-data-dir={tmp_path / 'profile'}", "--virtual-time-budget=2000"]
    dom = subprocess.run(
        [*command, "--dump-dom", f"file://{tmp_path / 'frame.html'}"],
        capture_output=True,
        text=True,
        timeout=120,
    )
    found = re.search(r"<title>(\d+) (\d+)</title>", dom.stdout)
    assert found is not None, dom.stderr[-500:]
    assert int(found[1]) <= int(found[2])  # as wide as there is room for
    assert width - 20 <= int(found[2]) <= width  # beside a scroll bar
    subprocess.run(
        [
            *command,
            f"--screenshot={shot}",
            f"--window-size={width},1500",
            f"file://{tmp_path / 'report.html'}",
        ],
        capture_output=True,
        timeout=120,
        check=True,
    )
    picture = np.asarray(Image.open(shot).convert("L"))
    assert picture.std() > 8.0
    assert len(np.unique(picture)) > 32
