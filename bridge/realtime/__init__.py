"""Ways out: who hears what, in which dialect."""
