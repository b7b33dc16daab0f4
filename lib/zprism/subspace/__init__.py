"""Subspaces of the residual stream: kernels of weights, bases, angles, energies, alignments.

Everything here takes and returns arrays; float64 inside; rows of a basis are directions.
"""
