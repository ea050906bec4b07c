"""Frozen nouns and integer maths: what crosses between the stages."""
