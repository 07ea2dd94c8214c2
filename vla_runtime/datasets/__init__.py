"""Recorded episodes on disk, in the format LeRobotDataset v3; pyarrow and av, no torch."""
