"""NetCDF files: variables on regular grids."""
