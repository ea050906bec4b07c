"""Where the arrays of an asset are in its folder, and what they are called."""
