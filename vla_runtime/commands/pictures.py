"""Pictures of figures, whole or absent."""

from pathlib import Path
from typing import Any


def save_figure(figure: Any, file: Path) -> None:
    """Write a matplotlib figure as PNG, and let go of it."""
    from matplotlib import pyplot as plt

    figure.tight_layout()
    partial = file.with_name(f".{file.name}.partial")
    try:
        figure.savefig(partial, dpi=100, format="png")
        partial.replace(file)
    finally:
        partial.unlink(missing_ok=True)
        plt.close(figure)
