"""Robots: one file each."""
