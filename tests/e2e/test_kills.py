"""SIGKILL at every request that a delivery makes of AWS: Lambda's retries, or else a redrive, finish it."""

import itertools
import json
import time

import pytest

from cloud import poll
from killer import invoke, unpack
from samples import ACCOUNT, denials, denial, key, pack, s3_event

pytestmark = pytest.mark.exhaustive
USER = f"arn:aws:iam::{ACCOUNT}:user/killed"
# How long the claims of an invocation without time left hold: LEASE_MARGIN in src/lambda/handler.rs, and whole seconds.
LEASE = 30 + 2


class Story:
    """The deliveries of one object, on a table of their own."""

    serial = itertools.count()

    def __init__(self, service):
        self.service, self.table = service, f"kills-{next(self.serial)}"
        self.alerts, self.notices = {}, {}
        self.ended = 0
        names = {"pk": "HASH", "sk": "RANGE"}
        service.dynamodb.create_table(
            TableName=self.table,
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in names],
            KeySchema=[{"AttributeName": name, "KeyType": kind} for name, kind in names.items()],
        )

    def deliver(self, request_id, number=None, after=False):
        """One attempt. What was marked before it must not be sent again. Returns whether it ended by itself."""
        marked = self.marked()
        variables = self.service.variables | {"TABLE_NAME": self.table}
        how, answer, self.calls = invoke(
            self.service.bootstrap, self.service.cloud, variables, self.service.event, request_id, number, after
        )
        assert how in ("killed", "response"), answer
        for sent, documents, identify in (
            (self.alerts, self.service.detector.alerts(), lambda document: document["id"]),
            (self.notices, self.service.detector.notices(), lambda document: document["incident"]["notice"]),
        ):
            for document in documents:
                assert identify(document) not in marked, f"sent again, though marked: {document}"
                sent.setdefault(identify(document), []).append(document)
        self.ended = time.time()
        return how == "response"

    def items(self):
        items = self.service.dynamodb.scan(TableName=self.table, ConsistentRead=True)["Items"]
        return {(item["pk"]["S"], item["sk"]["S"]): item for item in items}

    def marked(self):
        """The ids of alerts and notices that the table holds as sent."""
        alerts, incidents = self.told()
        sent = {alert["id"]["S"] for alert in alerts if alert["state"]["S"] == "published"}
        return sent.union(*(list(self.notices)[: int(incident["notices"]["N"])] for incident in incidents))

    def told(self):
        """The table's alerts and incidents."""
        items = self.items()
        alerts = [alert["M"] for (_, kind), item in items.items() if kind == "alerts" for alert in item["alerts"]["L"]]
        incidents = [item for (_, kind), item in items.items() if kind.startswith("incident#")]
        return alerts, incidents

    def counters(self):
        """What was counted, without when it is forgotten."""
        counted = {name: item for name, item in self.items().items() if name[1].startswith("count#")}
        # A set has no order.
        order = lambda value: {kind: sorted(held) if kind == "SS" else held for kind, held in value.items()}
        return {
            name: {part: order(value) for part, value in item.items() if part != "expires_at"}
            for name, item in counted.items()
        }

    def assert_as(self, undisturbed):
        """All that the undisturbed delivery does has been done, and nothing else."""
        assert set(self.alerts) == set(undisturbed.alerts)
        assert set(self.notices) == set(undisturbed.notices)
        for id, [alert] in undisturbed.alerts.items():
            totals = {again["total_denials"] for again in self.alerts[id]}
            assert totals == {alert["total_denials"]}
        assert self.marked() == set(self.alerts) | set(self.notices)
        alerts, incidents = self.told()
        assert [alert["state"]["S"] for alert in alerts] == ["published"] * len(self.alerts)
        assert [(incident["alerts"]["N"], incident["lease"]) for incident in incidents] == [
            (str(len(self.alerts)), {"NULL": True})
        ]
        assert self.counters() == undisturbed.counters()
        self.service.dynamodb.delete_table(TableName=self.table)


class Service:
    """The binary, and one object that makes two alerts of one caller; another caller stays below the threshold."""

    def __init__(self, detector, folder):
        self.detector, self.cloud, self.bootstrap = detector, detector.cloud, unpack(folder)
        self.dynamodb = detector.cloud.client("dynamodb")
        self.variables = detector.configuration["Environment"]["Variables"] | {"RULES": "denied-model"}
        records = denials(USER, 0, 1, 2, 3) + denials(f"{USER}-less", 0, 1)
        records += [denial(USER, at, model="anthropic.claude-v2") for at in (4, 5, 6, 7, 8)]
        with detector.notifications_off():
            name = detector.put(pack(*records), key())
        self.event = s3_event(detector.bucket, name)


@pytest.fixture(scope="module")
def service(detector, tmp_path_factory):
    return Service(detector, tmp_path_factory.mktemp("killed"))


@pytest.fixture(scope="module")
def undisturbed(service):
    story = Story(service)
    assert story.deliver("undisturbed")
    assert [len(sent) for sent in story.alerts.values()] == [1, 1] and len(story.notices) == 1
    print(f"{len(story.calls)} requests a delivery: {[call.action for call in story.calls]}")
    return story


@pytest.fixture(scope="module")
def given_up(service, undisturbed):
    """A story for each request: all three attempts were killed at it, just before it or just after."""
    stories = []
    for number in itertools.count(1):
        story = Story(service)
        ended = [story.deliver("given-up", number, after) for after in (False, True, False)]
        if not any(ended):
            stories.append(story)
            continue
        story.assert_as(undisturbed)  # a retry makes fewer requests
        if ended[0]:
            return stories


@pytest.mark.usefixtures("given_up")  # their leases run out meanwhile
@pytest.mark.parametrize("after", [False, True], ids=["before-it-reaches-aws", "after-aws-has-done-it"])
def test_killed_at_any_request_a_delivery_is_finished_by_its_retry(service, undisturbed, after):
    for number in itertools.count(1):
        story = Story(service)
        alone = story.deliver("retried", number, after)
        assert alone or story.deliver("retried"), f"request {number}"
        story.assert_as(undisturbed)
        if alone:
            break
    assert number > len(undisturbed.calls)


def test_killed_at_any_request_until_it_is_given_up_a_delivery_is_finished_by_its_redrive(given_up, undisturbed):
    assert len(given_up) > len(undisturbed.calls) // 2
    for story in given_up:
        poll("its leases have run out", lambda: time.time() > story.ended + LEASE, LEASE + 8)
        assert story.deliver("redriven")
        story.assert_as(undisturbed)
