"""Look a LeRobotDataset over, put it in order, say what is in it, merge several: vla-dataset.

python scripts/dataset.py verify outputs/demos/lerobot deep=true
python scripts/dataset.py repair outputs/demos/lerobot
python scripts/dataset.py merge outputs/monday/lerobot outputs/tuesday/lerobot out=outputs/both
"""

from vla_runtime.commands.dataset import run

if __name__ == "__main__":
    run()
