"""Recipe: every setting that can change a pixel; Resources: every setting that cannot. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields

from mapper.errors import RequestError
from mapper.imagery.choice import Choice
from mapper.imagery.clouds import DEFAULT_DILATION_PX
from mapper.imagery.omnicloud import CLOUD_MASKS, NO_WEIGHTS, SCL_MASK, cloud_mask_of
from mapper.imagery.scenes import Period
from mapper.land.grid import DEFAULT_TILE_PX, Grid

ALL_LOOKS = "all"
"""How a recipe's text says that every radar look is taken."""
PACKAGED = "packaged"
"""How a recipe's text names the weights that come with the package."""
AUTO = "auto"
"""How a recipe leaves a decision to the program; the one beside a map has device and precision as
they were decided."""
PRECISIONS = (AUTO, "fp32", "bf16", "fp16")
NOT_IN_PIXELS = frozenset({"archive", "checkpoint", "cloud_weights", "crs", "tile_px"})
"""Settings that do not enter a tile's content key by name: scenes carry their own addresses, the
checkpoint and the weights of a cloud mask their digests, the tile its size; and the CRS is that of
the national products only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """The settings of a run that shape its map; with the archive's content they decide it."""

    period: Period
    """The days whose scenes are used, both ends included."""
    archive: str
    """The archive's name, path or address, as `archives.archive` takes it."""
    max_cloud_percent: float = 60.0
    """Optical scenes with more cloud than this, by their own metadata, are left out."""
    optical_looks: int = 4
    """The clearest optical scenes kept for each MGRS tile and month."""
    min_optical_looks: int = 0
    """Optical scenes that an MGRS tile has in the whole period even if all are too cloudy."""
    radar_looks: int | None = None
    """The first radar overpasses kept for each relative orbit and month; None keeps them all."""
    allow_grd: bool = False
    """Whether radar without terrain correction (GRD) is taken, where it lies on a map at all."""
    cloud_dilation_px: int = DEFAULT_DILATION_PX
    """How far clouds and their shadows are spread, in pixels of 20 m."""
    cloud_mask: str = SCL_MASK
    """Who says what is cloud: scl, the classification of each scene, or omnicloudmask."""
    cloud_weights: str = NO_WEIGHTS
    """Folder with the weights of omnicloudmask, or "none"."""
    allow_radar_only: bool = False
    """Whether a pixel that was never seen clearly gets a class from radar alone, instead of 255."""
    tile_px: int = DEFAULT_TILE_PX
    """Side of a tile in pixels; a multiple of 512. It names the files, and changes no pixel."""
    checkpoint: str = PACKAGED
    """Path of the weights, or "packaged" for those that come with mapper."""
    device: str = AUTO
    """What the network runs on: cpu, cuda or cuda:1; auto takes a GPU where there is one."""
    precision: str = AUTO
    """Number format of the network: fp32, bf16, fp16; auto takes half where that is fast."""
    crs: str = AUTO
    """CRS of the national products, such as EPSG:3035; auto takes the UTM zone with most land."""

    def __post_init__(self) -> None:
        Grid(self.tile_px)
        _ = self.choice  # refuses limits and counts that make no sense
        if self.cloud_dilation_px < 0:
            raise RequestError(f"cloud_dilation_px is {self.cloud_dilation_px}, wanted 0 or more")
        if self.cloud_mask not in CLOUD_MASKS:
            raise RequestError(
                f'cloud_mask "{self.cloud_mask}" is unknown; give one of {", ".join(CLOUD_MASKS)}'
            )
        cloud_mask_of(self.cloud_mask, self.cloud_weights)  # refuses what is not installed
        if self.precision not in PRECISIONS:
            raise RequestError(
                f'precision "{self.precision}" is unknown; give one of {", ".join(PRECISIONS)}'
            )

    @property
    def choice(self) -> Choice:
        """The part of the recipe that chooses scenes."""
        return Choice(
            max_cloud_percent=self.max_cloud_percent,
            optical_looks=self.optical_looks,
            min_optical_looks=self.min_optical_looks,
            radar_looks=self.radar_looks,
            allow_grd=self.allow_grd,
        )

    def to_dict(self) -> dict[str, str | int | float | bool]:
        """Plain values by key, in the order of the fields; what a recipe file holds."""
        return {entry.name: _plain(getattr(self, entry.name)) for entry in fields(self)}

    def to_toml(self) -> str:
        """The canonical text: read again it gives an equal recipe; equal recipes, equal texts."""
        # A JSON string, number or boolean is the same text in TOML.
        return "".join(f"{key} = {json.dumps(value)}\n" for key, value in self.to_dict().items())

    def pixel_facts(self) -> dict[str, str | int | float | bool]:
        """What a tile's content key takes from the recipe itself."""
        return {key: value for key, value in self.to_dict().items() if key not in NOT_IN_PIXELS}


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """What a run may use; no setting here can change a pixel. None means: measure and decide."""

    workers: int | None = None
    """Worker processes on this machine."""
    threads: int | None = None
    """Cores each tile uses, for reading and for the network's windows."""
    tiles_per_worker: int | None = None
    """Tiles one worker has in hand at once: one on a CPU, three on a GPU, to keep it fed."""
    scheduler: str | None = None
    """Address of a Dask scheduler that is already there, such as tcp://10.0.0.7:8786."""
    read_timeout_s: int = 180
    """One read of an archive, with all attempts; what fails for longer is left out of its tile."""
    tile_timeout_s: int = 7200
    """A worker that has one tile in hand for longer ends itself; the tile is tried again, twice."""

    def __post_init__(self) -> None:
        for name in ("workers", "threads", "tiles_per_worker", "read_timeout_s", "tile_timeout_s"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise RequestError(f"{name} is {value}, wanted 1 or more")
        if self.scheduler is not None and self.workers is not None:
            raise RequestError(
                f"workers is {self.workers}, but the scheduler at {self.scheduler} has its own; "
                "leave one of the two out"
            )


def _plain(value: object) -> str | int | float | bool:
    """A field's value as a recipe file spells it."""
    if value is None:
        return ALL_LOOKS
    return value if isinstance(value, (bool, int, float, str)) else str(value)
