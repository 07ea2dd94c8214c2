"""What one action costs: see vla_runtime.commands.measure_latency.

python scripts/measure_latency.py
python scripts/measure_latency.py --help
"""

from vla_runtime.commands.measure_latency import run

if __name__ == "__main__":
    run()
