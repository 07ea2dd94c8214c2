"""Run simulated episodes in the closed loop and record them.

python scripts/run_episode.py policy=expert task=place_in seed=3
python scripts/run_episode.py --help
"""

from vla_runtime.commands.run_episode import run

if __name__ == "__main__":
    run()
