"""Train a checkpoint on recorded episodes: vla-finetune from a checkout, and under torchrun.

python scripts/finetune.py checkpoint=outputs/tiny dataset=outputs/demos out=outputs/finetuned recipe=tiny steps=300
torchrun --nproc-per-node 2 scripts/finetune.py checkpoint=DIR dataset=DIR out=DIR
"""

from vla_runtime.commands.finetune import run

if __name__ == "__main__":
    run()
