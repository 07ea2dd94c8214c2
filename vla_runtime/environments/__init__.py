"""Worlds with a robot in them, behind one interface."""
