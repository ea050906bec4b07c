"""TIFFs on servers and in buckets: their headers and blocks are read by ranges."""
