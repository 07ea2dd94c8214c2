"""Collect demonstrations of the scripted expert, in parallel processes, as a LeRobotDataset.

    python scripts/collect_demos.py task=place_in episodes=200 out=data/place_in

The installed command vla-collect does the same.
"""

from vla_runtime.commands.collect_demos import run

if __name__ == "__main__":
    run()
