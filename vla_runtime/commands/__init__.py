"""What the console commands and the scripts run: parse, build, call."""
