"""Features of records: the layouts that are possible, and their patches."""
