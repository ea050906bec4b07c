"""What is known of a source file before its pixels are read."""
