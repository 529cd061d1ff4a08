"""Python, gzip and orjson: every line is parsed."""

import gzip
import pathlib
import sys

import orjson
from groups import Groups, files

groups = Groups()
for path in files(pathlib.Path(sys.argv[-1])):
    with gzip.open(path) as lines:
        for line in lines:
            groups.add(orjson.loads(line))
groups.print()
