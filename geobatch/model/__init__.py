"""Frozen values and integer maths: what passes from one stage to the next."""
