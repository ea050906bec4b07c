"""What the store can say of itself: what differs, what is current, and why a tile is as it is."""
