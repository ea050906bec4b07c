"""Who asks a bucket, and by which endpoint: credentials where each cloud's own tools find them."""
