"""Tasks: values that say what to compute, and the functions that compute it."""
