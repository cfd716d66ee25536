"""A simulated archive: real geometry, spectra measured at real places, and a known truth.

    world, ground, terrain, cover, landscape    the ground, as a function of place
    spectra, patches, texture, painting         what it looks like, fitted from real pixels
    exchange                                    the ground as no country is, to learn from
    sky, optical_look, radar_look               what the two instruments see of it
    mgrs, orbits, need, acquisitions            which scenes there are
    painter, sparse_cog, items, group_files,
    archive                                     the files they make
    fit_*                                       the making of spectra.npz, run by hand

Nothing in it is an image of a real place, and everything it writes says so.
"""

from pathlib import Path

from mapper.compiled import drop_stale

drop_stale(Path(__file__).parent)
