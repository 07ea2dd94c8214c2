"""Train the embedded VLA from nothing: see vla_runtime.commands.train_embedded."""

from vla_runtime.commands.train_embedded import run

if __name__ == "__main__":
    run()
