"""From a command line to an exit code: every command, and what its errors look like."""

from __future__ import annotations

import os
import sys
import traceback
from typing import NoReturn

import click

from mapper.cli.archives import archives
from mapper.cli.judging import calibrate, evaluate
from mapper.cli.land import countries
from mapper.cli.learning import train
from mapper.cli.maps import plan, run
from mapper.cli.simulated import simulate
from mapper.errors import MapperError, RequestError
from mapper.production.stopping import Stopped, heeded, listen

BY_SIGNAL = 128
"""A command that a signal ended exits with this plus the signal's number, as shells have it."""

GOES_ON = ("run", "simulate", "train")
"""Commands that find what was done before; the others begin anew."""


def main() -> NoReturn:
    """The console script."""
    sys.exit(command_line(sys.argv[1:]))


def command_line(arguments: list[str]) -> int:
    """Run one command and return its exit code; every error is one line on stderr."""
    debug = "--debug" in arguments
    listen()
    try:
        mapper.main(arguments, prog_name="mapper", standalone_mode=False)
    except click.exceptions.Exit as end:
        return end.exit_code
    except click.ClickException as error:
        return _say(error.format_message(), RequestError.exit_code)
    except MapperError as error:
        return _say(str(error), error.exit_code, debug)
    except Stopped as stop:
        heeded()
        then = "goes on from here" if arguments[0] in GOES_ON else "begins anew"
        return _say(f"stopped; the same command {then}", BY_SIGNAL + stop.signum)
    except BrokenPipeError:  # whoever read the output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return MapperError.exit_code
    except Exception as error:
        what = f"unforeseen {type(error).__name__}: {error}; run it again with --debug"
        return _say(what, MapperError.exit_code, debug)
    return 0


def _say(message: str, code: int, debug: bool = False) -> int:
    if debug:
        traceback.print_exc()
    click.echo(f"mapper: error: {' '.join(message.split())}", err=True)
    return code


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="mapper", message="%(version)s")
def mapper() -> None:
    """National 10 m land-cover maps from Sentinel-1 and Sentinel-2."""


for _command in (run, plan, countries, archives, simulate, train, evaluate, calibrate):
    mapper.add_command(_command)
