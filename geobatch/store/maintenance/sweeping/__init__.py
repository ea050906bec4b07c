"""All objects of a store are listed in parts, and batches deleted, here or elsewhere."""
