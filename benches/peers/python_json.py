"""Python, gzip and json: every line is parsed, or with --search only those that name the error."""

import gzip
import json
import pathlib
import sys

from groups import Groups, files

search = "--search" in sys.argv
groups = Groups()
for path in files(pathlib.Path(sys.argv[-1])):
    with gzip.open(path) as lines:
        for line in lines:
            if not search or b"AccessDeniedException" in line:
                groups.add(json.loads(line))
groups.print()
