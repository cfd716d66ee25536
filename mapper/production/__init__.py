"""A run, from an area to a finished map: plan, tiles, journal, cluster, national products."""
