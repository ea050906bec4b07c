"""YAML and JSON as text: nodes with positions, comments, the canonical form."""
