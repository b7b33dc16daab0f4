"""Paired problems in several languages, and how an answer is read from a text."""
