"""From resolved specs to a plan: what exists, moves, is deleted, is reused."""
