"""Normalisation statistics of a data set, as OpenVLA's dataset_statistics.json.

python scripts/compute_statistics.py dataset=FOLDER out=FOLDER
python scripts/compute_statistics.py --help
"""

from vla_runtime.commands.compute_statistics import run

if __name__ == "__main__":
    run()
