"""Images and tables as they are published, their fingerprints and their JSON."""
