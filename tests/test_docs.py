"""What the documentation shows works as it is written."""

import re
import types
from pathlib import Path

import pytest

from sim.environment import TabletopEnv
from tests.sim.conftest import play_expert

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]


def test_the_example_task_is_solved_by_the_expert() -> None:
    (code,) = re.findall(
        r"```python\n(.*?)```", (ROOT / "docs" / "extending.md").read_text(), flags=re.DOTALL
    )
    module = types.ModuleType("example")
    exec(compile(code, "docs/extending.md", "exec"), module.__dict__)
    env = TabletopEnv(module.CubeToLemon(), cameras={})
    outcomes = [play_expert(env, seed) for seed in range(3)]
    env.close()
    assert all(outcome["success_at_end"] for outcome in outcomes)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_the_readme_counts_what_there_is() -> None:
    from sim.objects import items, receptacles

    text = (ROOT / "README.md").read_text()
    assert f"{len(items())} things and {len(receptacles())} bowls, plates and tiles" in text


def test_the_layout_in_the_docs_exists() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text()
    block = text.split("```")[1]
    package = None
    for line in block.splitlines():
        if re.match(r"^\w+/", line):
            package = line.split("/")[0]
        elif package:
            name = line.split()[0] if line.strip() else ""
            if re.fullmatch(r"[a-z_/]+(\.py|/)", name):
                assert (ROOT / package / name).exists(), f"{package}/{name}"
