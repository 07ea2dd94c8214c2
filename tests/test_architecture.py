"""The house: who may import whom, and how light the door is."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import vla_runtime

ROOT = Path(__file__).parents[1]
HEAVY = ("torch", "transformers", "pybullet", "gymnasium", "zmq", "hydra", "av", "rich")


def imported_by(statement: str) -> set[str]:
    """Top-level modules that are loaded after a statement, in a new process."""
    code = f"import sys; {statement}; print(' '.join({{name.split('.')[0] for name in sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=ROOT)
    return set(done.stdout.split())


def test_importing_the_runtime_loads_nothing_heavy() -> None:
    assert imported_by("import vla_runtime") & set(HEAVY) == set()


def test_importing_the_simulator_registers_without_pybullet() -> None:
    assert "pybullet" not in imported_by("import sim")


def test_a_missing_pybullet_is_one_clear_line() -> None:
    code = "import sys; sys.modules['pybullet'] = None; import sim.environment"
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert "pybullet is not installed for this Python" in last
    assert "Python 3.11" in last


@pytest.mark.parametrize("module", sorted((ROOT / "vla_runtime").rglob("*.py")), ids=lambda p: p.stem)
def test_the_runtime_never_names_the_simulator_package(module: Path) -> None:
    """Not even in a string or under TYPE_CHECKING; errors of sim are recognised by their module's name only."""
    imports = [
        node
        for node in ast.walk(ast.parse(module.read_text()))
        if isinstance(node, (ast.Import, ast.ImportFrom))
    ]
    names = [alias.name for node in imports if isinstance(node, ast.Import) for alias in node.names]
    names += [node.module or "" for node in imports if isinstance(node, ast.ImportFrom)]
    assert not [name for name in names if name.split(".")[0] == "sim"]


def test_everything_public_is_listed() -> None:
    public = {name for name in vars(vla_runtime) if not name.startswith("_")}
    modules = {path.stem for path in (ROOT / "vla_runtime").iterdir()}
    assert public - modules == set(vla_runtime.__all__) - modules
    assert vla_runtime.__all__ == sorted(vla_runtime.__all__)


def test_the_loop_fits_a_screen() -> None:
    source = (ROOT / "vla_runtime" / "loop.py").read_text()
    function = next(
        node
        for node in ast.parse(source).body
        if isinstance(node, ast.FunctionDef) and node.name == "run_episode"
    )
    assert (function.end_lineno or 0) - function.lineno < 60


def test_constraints_name_no_place() -> None:
    text = (ROOT / "constraints.txt").read_text()
    assert re.findall(r"file:|://|^-|^/|@", text, flags=re.MULTILINE) == []
    assert "torch==2.13.0" in text


def test_nothing_that_drags_torchvision_is_required() -> None:
    names = {line.split("==")[0] for line in (ROOT / "constraints.txt").read_text().splitlines()}
    assert names & {"torchvision", "timm", "tensorflow", "flash-attn", "lerobot"} == set()


def test_the_model_side_needs_no_simulator_and_no_configuration_library() -> None:
    """Machines with a GPU often have a newer Python, for which there is no pybullet."""
    absent = ["pybullet", "gymnasium", "hydra", "omegaconf", "av", "rich", "transformers", "sim"]
    statement = f"sys.modules.update(dict.fromkeys({absent!r})); import vla_runtime.policies.openvla"
    assert "torch" in imported_by(statement)
