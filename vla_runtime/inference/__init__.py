"""When a policy runs: inference engines."""
