"""What is in the account already, before and after a deployment: facts, no judgement and no change."""

import json

# A data event, which a trail logs only where it is asked to: the calls of bedrock-mantle.
MANTLE = ("AWS::BedrockMantle::Project", "AWS::BedrockMantle::CustomizedModel", "AWS::BedrockMantle::Reservation")


def code(error):
    return error.response["Error"].get("Code", "")


def key_prefix(log_prefix):
    """What Bedrock calls the prefix: it puts AWSLogs/ACCOUNT/… behind it by itself."""
    return "" if log_prefix.split("/")[0] == "AWSLogs" else log_prefix


def log_prefix(key_prefix, account):
    """The other way round."""
    return key_prefix.strip("/") or f"AWSLogs/{account}/BedrockModelInvocationLogs"


def logging_configuration(bedrock):
    return bedrock.get_model_invocation_logging_configuration().get("loggingConfig") or {}


def logs_to(configuration):
    """(bucket, key prefix) of Bedrock's log in S3, or None."""
    there = configuration.get("s3Config")
    return there and (there["bucketName"], there.get("keyPrefix", "").strip("/"))


def bucket(s3, name):
    """200 where it exists, 404 where it does not, 403 where it is another account's or may not be looked at."""
    from botocore.exceptions import ClientError

    try:
        s3.head_bucket(Bucket=name)
    except ClientError as error:
        return error.response["ResponseMetadata"]["HTTPStatusCode"]
    return 200


def key_of(s3, name):
    """The KMS key that a bucket encrypts with by default: its ARN or id, empty for SSE-S3."""
    from botocore.exceptions import ClientError

    try:
        rules = s3.get_bucket_encryption(Bucket=name)["ServerSideEncryptionConfiguration"]["Rules"]
    except ClientError as error:
        if code(error) == "ServerSideEncryptionConfigurationNotFoundError":
            return ""
        raise
    by_default = rules[0].get("ApplyServerSideEncryptionByDefault", {})
    return by_default.get("KMSMasterKeyID", "aws/s3") if by_default.get("SSEAlgorithm", "").startswith("aws:kms") else ""


def unreadable(s3, name, key, parameter):
    """Why the function could read nothing in a bucket, as a sentence, or None; `key` is what `parameter` says."""
    seen = bucket(s3, name)
    if seen != 200:
        return f"There is no bucket {name}." if seen == 404 else f"The bucket {name} belongs to another account, or you may not look at it."
    own = key_of(s3, name)
    if own not in ("", "aws/s3") and not key:
        return f"{name} is encrypted with the KMS key {own}: say {parameter}=…, or the function can read nothing."
    return None


def same_key(one, other):
    """Whether two names, each an id or an ARN, are of one key."""
    return one.rpartition("/")[2] == other.rpartition("/")[2]


def notified(s3, name, function):
    """Whether a bucket notifies EventBridge of new objects, and whether it calls the function itself."""
    present = s3.get_bucket_notification_configuration(Bucket=name)
    calls = [one["LambdaFunctionArn"] for one in present.get("LambdaFunctionConfigurations", [])]
    return "EventBridgeConfiguration" in present, function in calls


def trails(client, account):
    """(name, ARN, whether it logs management events, read and write, whether it logs bedrock-mantle) of each trail that logs here.

    Both are None where the trail belongs to another account, which alone may look.
    """
    from botocore.exceptions import ClientError

    for one in client.describe_trails(includeShadowTrails=True)["trailList"]:
        arn = one["TrailARN"]
        try:
            if client.get_trail_status(Name=arn)["IsLogging"]:
                selectors = client.get_event_selectors(TrailName=arn)
                yield one["Name"], arn, management(selectors), mantle(selectors)
        except ClientError:
            if arn.split(":")[4] == account:
                raise
            yield one["Name"], arn, None, None


def management(selectors):
    """Whether a trail logs management events, reading calls too."""
    for one in selectors.get("EventSelectors", []):
        if one.get("IncludeManagementEvents") and one.get("ReadWriteType", "All") == "All":
            return True
    for one in selectors.get("AdvancedEventSelectors", []):
        fields = {field["Field"]: field for field in one["FieldSelectors"]}
        if fields.get("eventCategory", {}).get("Equals") == ["Management"] and "readOnly" not in fields:
            return True
    return not selectors.get("EventSelectors") and not selectors.get("AdvancedEventSelectors")


def mantle(selectors):
    """Whether a trail selects the data events of bedrock-mantle."""
    return any(kind in json.dumps(selectors.get("AdvancedEventSelectors", [])) for kind in MANTLE)


def mantle_command(selectors, trail):
    """The command that selects them beside what is selected; the call replaces all selectors."""
    present = list(selectors.get("AdvancedEventSelectors", []))
    if not present:
        fields = [{"Field": "eventCategory", "Equals": ["Management"]}]
        present = [{"Name": "Management events", "FieldSelectors": fields}]
    for kind in MANTLE:
        fields = [{"Field": "eventCategory", "Equals": ["Data"]}, {"Field": "resources.type", "Equals": [kind]}]
        present.append({"Name": kind, "FieldSelectors": fields})
    return f"aws cloudtrail put-event-selectors --trail-name {trail} --advanced-event-selectors '{json.dumps(present)}'"


def free_executions(client):
    """How many executions of the account are not reserved for one function."""
    return client.get_account_settings()["AccountLimit"]["UnreservedConcurrentExecutions"]


def slack(client, workspace, channel):
    """What would make AWS::Chatbot::SlackChannelConfiguration fail, or None."""
    known = [one["SlackTeamId"] for one in client.describe_slack_workspaces().get("SlackWorkspaces", [])]
    if workspace not in known:
        return f"Slack workspace {workspace} is not authorized: open Amazon Q Developer in chat applications in the console, Configure new client, Slack"
    for one in client.describe_slack_channel_configurations().get("SlackChannelConfigurations", []):
        if one["SlackChannelId"] == channel:
            return f"Slack channel {channel} is configured already, as {one.get('ConfigurationName')}: a channel can be configured once in an account. Add the topics there, or delete it"
    return None
