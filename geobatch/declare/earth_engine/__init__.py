"""Earth Engine's manifests, flags and names, to specs and back."""
