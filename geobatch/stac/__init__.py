"""Published assets as STAC: items, collections and catalogs (https://stacspec.org, 1.1.0)."""
