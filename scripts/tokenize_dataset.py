"""What action tokenizers cost on a data set, in tokens and in exactness.

python scripts/tokenize_dataset.py dataset=FOLDER
python scripts/tokenize_dataset.py --help
"""

from vla_runtime.commands.tokenize_dataset import run

if __name__ == "__main__":
    run()
