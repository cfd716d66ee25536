"""mapper: national 10 m land-cover maps from Sentinel-1 and Sentinel-2."""

__version__ = "0.1.0"
