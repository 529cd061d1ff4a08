"""Polars reads, filters and counts by itself; Python decompresses."""

import gzip
import json
import sys
from pathlib import Path

import polars as pl

from groups import files

COLUMNS = {name: pl.String for name in ("accountId", "modelId", "requestId", "errorCode", "timestamp")}
COLUMNS["identity"] = pl.Struct({"arn": pl.String})
KEY = ["accountId", "arn", "modelId"]

objects = [
    pl.read_ndjson(gzip.decompress(path.read_bytes()), schema=COLUMNS).filter(
        pl.col("errorCode") == "AccessDeniedException"
    )
    for path in files(Path(sys.argv[1]))
]
seen = pl.col("timestamp").str.to_datetime(time_zone="UTC").min().alias("seen")
denials = (
    pl.concat(objects)
    .lazy()
    .with_columns(pl.col("identity").struct.field("arn"))
    .group_by([*KEY, "requestId"])
    .agg(seen)
    .sort("seen")
)
within_an_hour = pl.col("seen") - pl.col("seen").shift(3).over(KEY) <= pl.duration(hours=1)
for group in denials.filter(within_an_hour).select(KEY).unique().collect().iter_rows():
    print(json.dumps(group))
