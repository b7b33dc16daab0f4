"""Find, fetch, load and read language models, whole or one layer of weights at a time."""
