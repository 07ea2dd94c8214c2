"""Recorded episodes on disk, in the format LeRobotDataset v3; pyarrow and av, no torch.

`open_dataset` reads, `EpisodeWriter` stages one episode, `DatasetWriter` adds staged episodes to a data set.
"""

try:
    import pyarrow  # noqa: F401  asked for here, so that its absence is one clear line
except ModuleNotFoundError as error:
    from vla_runtime.errors import ConfigurationError

    raise ConfigurationError(
        "data sets need the package 'pyarrow', which is not installed: pip install 'vla-runtime[record]'"
    ) from error

from vla_runtime.datasets.features import Feature
from vla_runtime.datasets.reader import LeRobotDataset, open_dataset
from vla_runtime.datasets.staging import EpisodeWriter
from vla_runtime.datasets.video import VideoCodec
from vla_runtime.datasets.writer import DatasetWriter

__all__ = ["DatasetWriter", "EpisodeWriter", "Feature", "LeRobotDataset", "VideoCodec", "open_dataset"]
