"""Files that all of their bytes identify: their states, and their bytes in order."""
