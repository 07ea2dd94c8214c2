"""Networks, written here: no remote code, and no package that would bring another version of torch."""
