"""DuckDB reads, filters and counts by itself."""

import json
import sys

import duckdb

QUERY = """
with denial as (
    select accountId, identity.arn as arn, modelId, requestId, min("timestamp") as seen
    from read_json(?, format = 'newline_delimited', compression = 'gzip', columns = {
        accountId: 'VARCHAR', identity: 'STRUCT(arn VARCHAR)', modelId: 'VARCHAR',
        requestId: 'VARCHAR', errorCode: 'VARCHAR', "timestamp": 'TIMESTAMP'})
    where errorCode = 'AccessDeniedException'
    group by all
), with_third_before as (
    select *, lag(seen, 3) over (partition by accountId, arn, modelId order by seen) as third_before
    from denial
)
select distinct accountId, arn, modelId from with_third_before
where seen - third_before <= interval 1 hour
"""

for group in duckdb.execute(QUERY, [f"{sys.argv[1]}/*.json.gz"]).fetchall():
    print(json.dumps(group))
