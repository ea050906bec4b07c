"""The bytes and the documents of a store: tiles, shards, index pages, canonical JSON."""
