"""Commands that show and explain what is published."""
