"""Commands that build the store: init, plan, apply."""
