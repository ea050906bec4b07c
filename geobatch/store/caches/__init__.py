"""What a store can compute again: cached facts, never trusted."""
