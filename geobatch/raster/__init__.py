"""GeoTIFF sources through rasterio: headers and pixel windows."""
