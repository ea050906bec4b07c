"""Large images: tasks that cover pages of the index, and put them."""
