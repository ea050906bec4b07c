"""Collections: one rule, many images."""
