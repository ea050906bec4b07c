"""Text for people: shortened names, suggestions, HTML."""
