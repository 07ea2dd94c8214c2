"""From recorded episodes to a fine-tuned checkpoint."""
