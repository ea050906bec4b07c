"""What one field of a spec says against another, and warnings about likely mistakes."""
