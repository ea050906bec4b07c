"""What is done to a store over the years, with its views and its sources."""
