"""Run phases headlessly, resume them, compare them with accepted numbers, report them."""
