"""The pure comparison of what shall be with what is."""
