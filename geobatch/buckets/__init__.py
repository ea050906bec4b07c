"""Objects in buckets: S3, Google Cloud Storage, Azure. The only room that loads obstore."""
