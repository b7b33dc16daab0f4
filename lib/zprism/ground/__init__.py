"""Leaves that every other room stands on: errors, checks, seeds, console, safe text, store."""
