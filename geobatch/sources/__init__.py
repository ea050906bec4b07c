"""Source files: what identifies each, what it holds, and its pixels."""
