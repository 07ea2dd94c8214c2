"""What is installed, what this machine can do, and whether a checkpoint is sound.

python scripts/doctor.py
python scripts/doctor.py checkpoint=PATH_OR_HUB_ID
"""

from vla_runtime.commands.doctor import run

if __name__ == "__main__":
    run()
