"""Commands that read and write specs."""
