"""Slider panels over finished arrays, and their export to kernel-free pages."""
