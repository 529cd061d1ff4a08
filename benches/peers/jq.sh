#!/bin/sh
# gzip and jq, one process each.
gzip -dc "$1"/*.json.gz | jq -cn '
  [ inputs | select(.errorCode == "AccessDeniedException")
    | {key: [.accountId, .identity.arn, .modelId], id: .requestId, at: (.timestamp | fromdateiso8601)} ]
  | group_by(.key)[]
  | .[0].key as $key
  | [ group_by(.id)[] | map(.at) | min ] | sort
  | select(. as $times | any(range(3; length); $times[.] - $times[. - 3] <= 3600))
  | $key'
