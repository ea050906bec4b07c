"""The bands of an image: type, mask and fill value of each."""
