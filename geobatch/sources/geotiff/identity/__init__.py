"""What identifies a TIFF: digests of its blocks and of its tags."""
