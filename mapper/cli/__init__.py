"""The commands: parse, call one job, report. An error is one line on stderr and an exit code.

Jobs are imported by the command that needs them: torch and Dask take seconds to load, and `--help`
should not wait for them.
"""

from mapper.cli.entry import command_line, main, mapper

__all__ = ["command_line", "main", "mapper"]
