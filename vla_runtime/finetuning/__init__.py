"""From recorded episodes to a fine-tuned checkpoint: examples, mixtures, training, export."""
