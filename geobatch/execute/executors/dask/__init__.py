"""Tasks on a Dask cluster: workers on other machines, or processes of this one."""
