"""Policies: observations to action chunks."""
