"""Published assets computed again from their sources, and compared; nothing is put."""
