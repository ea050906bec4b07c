"""The catalogue of a store in a browser: read-only answers over HTTP, and the same as files."""
