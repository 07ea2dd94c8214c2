"""Where things lie in a data set, and what versions there are."""

from pathlib import Path

VERSION = "v3.0"
OLD_VERSION = "v2.1"  # is read, not written
CHUNK_SIZE = 1000  # [files] in a folder
DATA_FILE_MB, VIDEO_FILE_MB = 100, 200  # [MB] at which lerobot begins a new file when it appends
ROWS_PER_INDEX_FILE = 100  # [episodes] in one file of the index: adding one rewrites at most so many rows

INFO = "meta/info.json"
STATISTICS = "meta/stats.json"
TASKS = "meta/tasks.parquet"
EPISODES = "meta/episodes"
EPISODE_FILE = "meta/episodes/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
DATA_FILE = "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
VIDEO_FILE = "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4"

NOTES = "meta/vla_runtime/episodes.jsonl"  # ours; lerobot ignores it
LOCK = ".writer.lock"
STAGING = ".staging"  # episodes on their way into the data set
ASIDE = ".aside"  # what repair found and could not use

STATE, ACTION, CAMERA = "observation.state", "action", "observation.images."


def place_of(number: int) -> tuple[int, int]:
    """Chunk and file of the n-th file."""
    return divmod(number, CHUNK_SIZE)


def after(chunk: int, file: int) -> tuple[int, int]:
    """Chunk and file of the next file."""
    return place_of(chunk * CHUNK_SIZE + file + 1)


def place_in(path: Path) -> tuple[int, int] | None:
    """Chunk and file that a path says, or None when it is not named like a file of a data set."""
    chunk, _, chunk_number = path.parent.name.partition("-")
    file, _, file_number = path.stem.partition("-")
    named = chunk == "chunk" and file == "file" and chunk_number.isdigit() and file_number.isdigit()
    return (int(chunk_number), int(file_number)) if named else None


def files_under(folder: Path, suffix: str) -> dict[tuple[int, int], Path]:
    """Files named chunk-NNN/file-NNN in a folder, by chunk and file, in order."""
    found = {place_in(path): path for path in folder.glob(f"chunk-*/file-*{suffix}")}
    return {key: found[key] for key in sorted(key for key in found if key is not None)}


def camera_of(feature: str) -> str:
    """A camera's name: the part behind `observation.images.`, or the feature's whole name."""
    return feature.removeprefix(CAMERA)
