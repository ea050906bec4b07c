"""Ways to run tasks: one after the other, on threads, in processes."""
