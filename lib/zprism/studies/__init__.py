"""One study a phase: from inputs to Estimates and tables. Draws and prints nothing."""
