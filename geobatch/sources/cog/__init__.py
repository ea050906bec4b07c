"""Cloud Optimized GeoTIFFs: their layout, pinned reads, and how they are written."""
