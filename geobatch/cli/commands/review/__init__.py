"""Commands of review: reports of saved plans, and comments with them."""
