"""Published assets as xarray datasets: masked, scaled, lazy and verified."""
