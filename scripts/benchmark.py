"""How often a policy succeeds, on a suite of cases, with intervals.

python scripts/benchmark.py suite=place_in policy=expert episodes=20
python scripts/benchmark.py --help
"""

from vla_runtime.commands.benchmark import run

if __name__ == "__main__":
    run()
