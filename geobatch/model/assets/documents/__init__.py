"""Assets as JSON: what a store records, and rows of listings."""
