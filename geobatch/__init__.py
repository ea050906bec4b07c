"""geobatch: Terraform for raster assets."""
