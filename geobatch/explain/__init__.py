"""What a store can explain: what differs, what is up to date, and where a tile comes from."""
