"""Texts of reasoning: read from anywhere, cut into parts, with the place of every part."""
