"""Experts: policies that read the simulator's true state. They show the way and correct other policies."""

from sim.experts.tabletop import TabletopExpert

__all__ = ["TabletopExpert"]
