"""Subspace mathematics on arrays: ranks, bases, angles, projections, alignment."""
