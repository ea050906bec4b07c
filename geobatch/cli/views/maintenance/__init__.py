"""What the commands that keep a store print."""
