"""From a request to a plan: everything that is asked of the outside world before a pixel moves."""

from __future__ import annotations

from pathlib import Path

from mapper.imagery.archives import archive
from mapper.imagery.bands import OPTICAL_NAMES, RADAR_NAMES
from mapper.imagery.scenes import choose
from mapper.imagery.search import search
from mapper.inference.windows import WINDOW_PX
from mapper.land.area import Area
from mapper.land.grid import outlines
from mapper.land.legend import CLASS_NAMES
from mapper.lulcformer import checkpoint
from mapper.lulcformer.checkpoint import Checkpoint
from mapper.maps.canvas import canvas_over
from mapper.production.estimate import cost_of
from mapper.production.plan import Plan, make_plan, planned_tiles
from mapper.production.recipe import PACKAGED, Recipe, Resources
from mapper.production.team import settled, team_for


def prepare(area: Area, recipe: Recipe, resources: Resources) -> tuple[Plan, Checkpoint]:
    """The plan of a run, its device and precision decided, and the checkpoint it will use.

    What would fail at hour six fails here: cheap checks first, the archive last.

    Raises:
        MapperError: any of its children, but IncompleteError.
    """
    land = outlines(area.geometry)
    canvas_over(land, recipe.crs)  # refuses a CRS that the national products could not have
    source = archive(recipe.archive)
    recipe = settled(recipe, resources)
    network = fitting_checkpoint(recipe)
    selection = choose(
        search(source, area.geometry, recipe.period),
        recipe.choice,
        area=area.title,
        period=recipe.period,
        allow_radar_only=recipe.allow_radar_only,
    )
    tiles = planned_tiles(land, recipe.tile_px, selection)
    parameters = sum(tensor.numel() for tensor in network.weights.values())
    plan = make_plan(
        area,
        recipe,
        selection,
        tiles,
        team_for(resources, recipe.device, len(tiles)),
        cost_of(parameters, recipe.precision, source.is_local),
        simulated=any(scene.simulated for scene in selection.kept),
    )
    return plan, network


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
