"""A tiny checkpoint with random weights, made once per session, and copies of it to break."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from vla_runtime.models.openvla.random_checkpoint import write_random_checkpoint


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("checkpoint") / "tiny"
    write_random_checkpoint(folder)
    return folder


@pytest.fixture
def copied(tiny: Path, tmp_path: Path) -> Callable[[], Path]:
    def copy() -> Path:
        return Path(shutil.copytree(tiny, tmp_path / "copy"))

    return copy
