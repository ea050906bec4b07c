"""External images: COGs that are not copied, each pinned to one state."""
