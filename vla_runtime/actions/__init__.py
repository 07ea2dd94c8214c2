"""What lies between tokens and motion: tokenizers, statistics, rotations, gripper conventions. numpy only."""
