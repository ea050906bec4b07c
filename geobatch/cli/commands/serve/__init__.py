"""Commands that show a store in a browser."""
