"""Plans: what is done to each asset and why, as values and as JSON."""
