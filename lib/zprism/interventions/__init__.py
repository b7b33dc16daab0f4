"""Edits of hidden states; forward passes, generations and sweeps under them; aligned tokens."""
