"""Running episodes and saying what came of them."""
