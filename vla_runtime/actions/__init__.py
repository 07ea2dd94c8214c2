"""What lies between tokens and motion: tokenizers, statistics, rotations, gripper conventions.

numpy only; FAST and text tokenizers need scipy and tokenizers, which are imported late.
"""
