"""From a request to a plan: everything that is asked of the outside world before a pixel moves."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import shapely

from mapper.errors import RequestError
from mapper.imagery.archives import SIMULATED, archive
from mapper.imagery.bands import OPTICAL_NAMES, RADAR_NAMES
from mapper.imagery.choice import Selection, choose, require_some
from mapper.imagery.faults import is_remote
from mapper.imagery.scene_list import SceneList
from mapper.imagery.search import search, surroundings
from mapper.inference.windows import WINDOW_PX
from mapper.land.area import Area
from mapper.land.grid import Outline, outlines
from mapper.land.legend import CLASS_NAMES
from mapper.lulcformer import checkpoint
from mapper.lulcformer.checkpoint import Checkpoint
from mapper.maps.canvas import canvas_over
from mapper.production.estimate import cost_of, written_bytes
from mapper.production.plan import Plan, make_plan, planned_tiles
from mapper.production.recipe import PACKAGED, Recipe, Resources
from mapper.production.room import require_writable
from mapper.production.team import settled, team_for

BOUNDS_DEG = 1e-6
"""How far an area may reach beyond the bounds of a scene list: what rounding does to them."""


@dataclass(frozen=True, slots=True)
class Request:
    """A request that every cheap check has passed: what is left may cost minutes."""

    area: Area
    """What to map."""
    land: tuple[Outline, ...]
    """The area's outline in each of its zones."""
    recipe: Recipe
    """How, with device and precision decided."""
    resources: Resources
    """With what."""
    network: Checkpoint
    """The weights."""
    frozen: SceneList | None = None
    """The scenes of an earlier run, to be read again instead of searching."""


def check(
    area: Area,
    recipe: Recipe,
    resources: Resources,
    out: Path,
    frozen: SceneList | None = None,
) -> Request:
    """Refuse what would fail at hour six, before anything is searched, simulated or read.

    Raises:
        MapperError: any of its children, but SceneError and IncompleteError.
    """
    land = tuple(outlines(area.geometry))
    canvas_over(land, recipe.crs)  # refuses a CRS that the national products could not have
    if frozen is not None:
        _require_same(area, recipe, frozen)
    elif recipe.archive != SIMULATED:
        archive(recipe.archive)
    require_writable(out, written_bytes(sum(outline.shape.area for outline in land)))
    recipe = settled(recipe, resources)
    return Request(area, land, recipe, resources, fitting_checkpoint(recipe), frozen)


def prepare(request: Request) -> Plan:
    """The plan of a request: its archive is searched, and no pixel is read.

    Raises:
        ArchiveError: the archive is down, or answers what is no STAC.
        SceneError: no scene fits.
        RequestError: no scheduler answers.
    """
    recipe = request.recipe
    selection = _chosen(request)
    tiles = planned_tiles(request.land, recipe.tile_px, selection)
    parameters = sum(tensor.numel() for tensor in request.network.weights.values())
    return make_plan(
        request.area,
        recipe,
        selection,
        tiles,
        team_for(request.resources, recipe.device, len(tiles)),
        cost_of(parameters, recipe.precision, recipe.device, _is_local(selection)),
        simulated=any(scene.simulated for scene in selection.kept),
    )


def scenes_of(plan: Plan) -> SceneList:
    """The scene list that repeats a plan."""
    recipe, area = plan.recipe, plan.area
    west, south, east, north = area.geometry.bounds
    bounds = (west, south, east, north)
    return SceneList(
        plan.selection, recipe.archive, recipe.period, recipe.choice, area.name, bounds
    )


def _require_same(area: Area, recipe: Recipe, frozen: SceneList) -> None:
    """Refuse what a frozen scene list has decided already, if it is asked for differently."""
    stated = {"archive": recipe.archive, "period": recipe.period, **asdict(recipe.choice)}
    decided = {"archive": frozen.archive, "period": frozen.period, **asdict(frozen.choice)}
    for key, frozen_value in decided.items():
        if stated[key] != frozen_value:
            raise RequestError(
                f"{key} is {stated[key]}, but the scenes were chosen with {frozen_value}; leave"
                " one of --scenes and this setting out"
            )
    if not shapely.box(*frozen.bounds).buffer(BOUNDS_DEG).covers(area.geometry):
        raise RequestError(
            f"{area.title} reaches beyond {frozen.area}, which the scene list was made for; leave"
            " --scenes out"
        )


def _is_local(selection: Selection) -> bool:
    """Whether every pixel is read from a disk."""
    return not any(
        is_remote(asset.href) for scene in selection.kept for asset in scene.assets.values()
    )


def _chosen(request: Request) -> Selection:
    """The scenes of the archive, each kept or dropped, that may show the area."""
    recipe, ground = request.recipe, request.area.geometry
    if request.frozen is None:
        scenes = search(
            archive(recipe.archive),
            ground,
            recipe.period,
            whole_orbits=recipe.radar_looks is not None,
        )
        selection = choose(
            scenes,
            recipe.choice,
            area=request.area.title,
            period=recipe.period,
            allow_radar_only=recipe.allow_radar_only,
        )
    else:
        selection = request.frozen.selection
    # The choice is among whole MGRS tiles and what lies around: not all of it shows the area.
    shapely.prepare(ground)
    where = f"{request.area.title} in {recipe.period}"
    require_some(selection.near(ground), recipe.choice, where, recipe.allow_radar_only)
    return selection.near(surroundings(ground))


def checkpoint_path(recipe: Recipe) -> Path:
    """Where the recipe's weights are."""
    return checkpoint.packaged() if recipe.checkpoint == PACKAGED else Path(recipe.checkpoint)


def fitting_checkpoint(recipe: Recipe) -> Checkpoint:
    """The recipe's weights, checked against what this program feeds them.

    Raises:
        CheckpointError: missing, damaged, or trained for other bands, classes or windows.
    """
    found = checkpoint.load(checkpoint_path(recipe))
    checkpoint.require(
        found,
        optical_bands=OPTICAL_NAMES,
        radar_bands=RADAR_NAMES,
        legend=CLASS_NAMES,
        window=WINDOW_PX,
    )
    return found
