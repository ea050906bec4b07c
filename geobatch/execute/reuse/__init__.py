"""What is reused of earlier runs: results of regions, and folders of the views."""
