"""`python -m bench`: the same as `chat4all bench`."""

from chat4all.commands.bench import bench

bench(prog_name="python -m bench")
