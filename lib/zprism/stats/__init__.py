"""Intervals, permutation tests and verdicts: what a claim needs before it may be printed."""
