"""The wheel, installed outside the checkout."""

import json
import os
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "-q",
        "--no-deps",
        "--no-build-isolation",
        "-w",
        str(folder),
        str(ROOT),
    ]
    subprocess.run(command, check=True)
    (built,) = folder.glob("*.whl")
    return built


def test_it_holds_configs_and_meshes_and_no_tests(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    assert "vla_runtime/configs/run_episode.yaml" in names
    assert "vla_runtime/checkpoints/embedded/model.safetensors" in names
    assert "sim/assets/panda/panda.urdf" in names
    assert "sim/assets/panda/hand_light.obj" in names
    assert not [name for name in names if name.startswith(("tests/", "scripts/", "docs/"))]


def test_vla_run_works_from_an_installed_wheel(wheel: Path, tmp_path: Path) -> None:
    """A second environment that holds the wheel, and sees the packages of this one."""
    venv.create(tmp_path / "venv", with_pip=False, symlinks=True)
    python = tmp_path / "venv" / "bin" / "python"
    (site,) = (tmp_path / "venv" / "lib").glob("python*/site-packages")
    zipfile.ZipFile(wheel).extractall(site)
    here = next(Path(path) for path in sys.path if path.endswith("site-packages"))
    # A path file, processed after the wheel: the checkout's own editable install must not win.
    (site / "dependencies.pth").write_text(f"{here}\n")
    code = "from vla_runtime.commands.run_episode import run; import vla_runtime, sys; print(vla_runtime.__file__); run()"
    arguments = [
        "seed=0",
        "recorder=none",
        f"out={tmp_path / 'out'}",
    ]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    done = subprocess.run(
        [str(python), "-c", code, *arguments],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(str(site))
    result = json.loads((tmp_path / "out" / "result.json").read_text())
    assert result["policy"] == "embedded"  # its weights came with the wheel
    assert result["success_at_end"] is True
