"""Recorders: they watch episodes and write them down, whole or not at all."""
