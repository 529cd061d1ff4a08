"""The function's role allows what the function does, and nothing else."""

import json
from fnmatch import fnmatchcase

from samples import alone, denials, pack, refused, s3_event, trail

# What the role allows on behalf of something other than this program, or what needs
# something ministack lacks. All of it must be in the policy, and everything else must be called.
NOT_SEEN_HERE = {
    "sqs:SendMessage": "Lambda itself fills the on-failure queue, in the role's name; ministack does so without asking",
    "logs:CreateLogStream": "Lambda itself writes the log, in the role's name; ministack does so without asking",
    "logs:PutLogEvents": "Lambda itself writes the log, in the role's name; ministack does so without asking",
    "sqs:ReceiveMessage": "Lambda's pollers take the events, in the role's name; ministack does so without asking",
    "sqs:DeleteMessage": "the same",
    "sqs:GetQueueAttributes": "the same",
    "kms:GenerateDataKey": "SNS encrypts in the publisher's name; ministack does not",
    "kms:Decrypt": "SNS and S3 encrypt and decrypt in the caller's name; ministack does not",
}


def granted(detector):
    """(action, resource) pairs of the role, as deployed."""
    iam = detector.cloud.client("iam")
    role = detector.configuration["Role"].rpartition("/")[2]
    assert iam.list_attached_role_policies(RoleName=role)["AttachedPolicies"] == []
    for name in iam.list_role_policies(RoleName=role)["PolicyNames"]:
        document = iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]
        if isinstance(document, str):
            document = json.loads(document)
        for statement in document["Statement"]:
            assert statement["Effect"] == "Allow" and not {"NotAction", "NotResource"} & set(statement)
            for action in listed(statement["Action"]):
                for resource in listed(statement["Resource"]):
                    yield action, resource


def listed(value):
    return value if isinstance(value, list) else [value]


def test_the_policy_equals_the_calls(detector, existing, both, tuned, user):
    for one in (detector, existing, both, tuned):
        began = len(one.cloud.recorder.calls)
        # Every kind of call, whatever other tests ran: count, look, claim, publish, read both ways.
        records = denials(user, *(alone(1) + second for second in range(4)))
        objects = [(one.bucket, *one.deliver(pack(*records)))]
        if one.trail_bucket:
            objects += [(one.trail_bucket, *one.deliver_trail(trail(*map(refused, records))))]
        for bucket, name in objects:
            version = one.s3.head_object(Bucket=bucket, Key=name)["VersionId"]
            one.invoke(s3_event(bucket, name))
            one.invoke(s3_event(bucket, name, version))
        assert len(one.alerts()) == 1
        calls = {
            (action, call.resource) for call in one.cloud.recorder.calls[began:] for action in call.permissions
        }
        grants = set(granted(one))

        def covers(grant, call):
            return fnmatchcase(call[0], grant[0]) and fnmatchcase(call[1], grant[1])

        for grant in grants:
            assert "*" not in grant[0] and grant[1] != "*", f"a wildcard: {grant}"
        not_allowed = {call for call in calls if not any(covers(grant, call) for grant in grants)}
        assert not_allowed == set()
        unused = {grant for grant in grants if not any(covers(grant, call) for call in calls)}
        assert {action for action, _ in unused} == set(NOT_SEEN_HERE), unused


def test_the_calls_of_all_tests_were_understood(detector):
    """Runs last: an unknown request keeps its own words, which no policy contains."""
    actions = {call.action for call in detector.cloud.recorder.calls}
    assert actions <= {
        "s3:GetObject",
        "s3:GetObjectVersion",
        "dynamodb:UpdateItem",
        "dynamodb:Query",
        "dynamodb:GetItem",
        "dynamodb:PutItem",
        "dynamodb:TransactWriteItems",
        "sns:Publish",
        "events:PutEvents",
    }
