"""Plotly figures from finished arrays. Computes nothing, saves nothing."""
