"""meta/vla_runtime/episodes.jsonl: what we know of each episode beside its frames. lerobot ignores the file."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vla_runtime.datasets.durable import write_text
from vla_runtime.datasets.layout import NOTES
from vla_runtime.lines import append_line

Notes = dict[int, Mapping[str, Any]]


def read_notes(folder: Path) -> Notes:
    """The notes by episode. A line that is cut off or no JSON is passed over: nothing depends on it."""
    try:
        lines = (folder / NOTES).read_text().splitlines()
    except OSError:
        return {}
    found: Notes = {}
    for line in lines:
        try:
            content = json.loads(line)
            found[int(content["episode_index"])] = content
        except (ValueError, KeyError, TypeError):
            continue
    return found


def write_notes(folder: Path, notes: Notes) -> None:
    """Write all notes anew, whole or not at all."""
    lines = [json.dumps({**notes[number], "episode_index": number}) + "\n" for number in sorted(notes)]
    write_text(folder / NOTES, "".join(lines))


def append_note(folder: Path, number: int, note: Mapping[str, Any]) -> None:
    """Add the note of an episode; a later one replaces an earlier one."""
    append_line(folder / NOTES, {**note, "episode_index": number})
