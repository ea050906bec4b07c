"""Reports of a saved plan for reviewers: Markdown, HTML with pictures, GeoJSON, text, JSON."""
