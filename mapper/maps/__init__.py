"""A map in use: rasters that open anywhere, their metadata, their picture."""
