"""The official Python SDK against the test Logstore, which it reaches as its HTTP proxy.

    http_proxy=http://127.0.0.1:PORT python tests/witness/sls.py

Started by tests/witness/sls.sh with the server's default project, Logstore and key, and 4 shards. The first check that
fails ends the run with a traceback. What the SDK can't do (deflate, HEAD, fenced checkpoints by a member that lost its
shard) is left to the server's own tests.
"""

import threading
import time
import uuid

import zstd
from aliyun.log import LogClient, LogException, LogItem, PutLogsRequest
from aliyun.log.consumer import ConsumerProcessorBase, ConsumerWorker, LogHubConfig

ENDPOINT = "http://cn-hangzhou.log.aliyuncs.com"
PROJECT, LOGSTORE = "test-project", "test-logstore"
KEY, SECRET = "test-key", "test-secret"
SECONDS = 60  # the longest that anything is waited for


def client(v4=False, key=KEY, secret=SECRET):
    if v4:
        return LogClient(ENDPOINT, key, secret, auth_version="v4", region="cn-hangzhou")
    return LogClient(ENDPOINT, key, secret)


def put(to, run, numbers, packing="lz4", hash_key=None):
    """One log group with a log for each number."""
    items = [LogItem(int(time.time()), contents=[("run", run), ("n", str(n)), ("k", "v" * 50)]) for n in numbers]
    for at, item in enumerate(items):
        item.set_time_nano_part(at)
    to.put_logs(
        PutLogsRequest(
            PROJECT,
            LOGSTORE,
            "topic",
            "source",
            items,
            hashKey=hash_key,
            compress=packing is not None,
            compress_type=packing,
            logtags=[("rack", "r 7")],
        )
    )


def numbers_of(groups, run):
    """The numbers of one run in pulled log groups, with what a group must carry looked at."""
    found = []
    for group in groups:
        tags = {tag.Key: tag.Value for tag in group.LogTags}
        for log in group.Logs:
            fields = {content.Key: content.Value for content in log.Contents}
            if fields.get("run") == run:
                assert (group.Topic, group.Source, tags["rack"]) == ("topic", "source", "r 7"), group
                assert abs(int(tags["__receive_time__"]) - time.time()) < 600 and tags["__client_ip__"], tags
                found.append(int(fields["n"]))
    return found


def shards(to):
    return to.list_shards(PROJECT, LOGSTORE).get_shards_info()


def read_all(to, run, **how):
    found = []
    for shard in shards(to):
        for page in to.pull_log(PROJECT, LOGSTORE, shard["shardID"], "begin", "end", **how):
            assert page.get_loggroup_count() == len(page.get_loggroup_list().LogGroups)
            found += numbers_of(page.get_loggroup_list().LogGroups, run)
    return sorted(found)


def refused(code, call):
    try:
        call()
    except LogException as error:
        assert error.get_error_code() == code, (code, error)
        assert len(error.get_request_id()) == 24, error
        return
    raise AssertionError("nothing was refused; expected " + code)


def until(what, look):
    end = time.time() + SECONDS
    while not look():
        assert time.time() < end, "waited in vain for: " + what
        time.sleep(0.1)


def put_and_pull():
    for v4 in (False, True):
        to = client(v4)
        for packing in ("lz4", "zstd", None):
            run = uuid.uuid4().hex
            for group in range(20):
                put(to, run, range(group * 3, group * 3 + 3), packing)
            for accept in ("lz4", "zstd", None):
                how = {"compress": False} if accept is None else {"accept_compress_type": accept}
                assert read_all(to, run, batch_size=7, **how) == list(range(60)), (v4, packing, accept)


def incompressible():
    to, run = client(), uuid.uuid4().hex
    random = "".join(uuid.uuid4().hex for _ in range(20_000))
    item = LogItem(int(time.time()), contents=[("run", run), ("n", "1"), ("k", random)])
    to.put_logs(PutLogsRequest(PROJECT, LOGSTORE, "topic", "source", [item], logtags=[("rack", "r 7")]))
    assert read_all(to, run) == [1]


def cursors():
    to, run = client(), uuid.uuid4().hex
    key = "00000000000000000000000000000001"
    shard = next(s["shardID"] for s in shards(to) if int(s["inclusiveBeginKey"], 16) == 0)
    begin = to.get_end_cursor(PROJECT, LOGSTORE, shard).get_cursor()
    for n in range(10):
        put(to, run, [n], hash_key=key)
    end = to.get_end_cursor(PROJECT, LOGSTORE, shard).get_cursor()
    assert to._get_cursor_as_int(end) - to._get_cursor_as_int(begin) == 10, "a cursor for each group"
    # By pages, bounded and not.
    page = to.pull_logs(PROJECT, LOGSTORE, shard, begin, count=4)
    assert numbers_of(page.get_loggroup_list().LogGroups, run) == [0, 1, 2, 3]
    rest = to.pull_logs(PROJECT, LOGSTORE, shard, page.get_next_cursor(), count=1000, end_cursor=end)
    assert numbers_of(rest.get_loggroup_list().LogGroups, run) == [4, 5, 6, 7, 8, 9]
    assert rest.get_next_cursor() == end
    nothing = to.pull_logs(PROJECT, LOGSTORE, shard, end)
    assert (nothing.get_next_cursor(), nothing.get_loggroup_count()) == (end, 0)
    # By time.
    received = to.get_cursor_time(PROJECT, LOGSTORE, shard, begin).get_cursor_time()
    assert abs(received - time.time()) < 60, received
    assert to.get_previous_cursor_time(PROJECT, LOGSTORE, shard, end).get_cursor_time() >= received
    assert to.get_cursor(PROJECT, LOGSTORE, shard, int(time.time()) + 100).get_cursor() == end
    first = to.get_begin_cursor(PROJECT, LOGSTORE, shard).get_cursor()
    assert to.get_cursor(PROJECT, LOGSTORE, shard, 1).get_cursor() == first
    refused("InvalidCursor", lambda: to.pull_logs(PROJECT, LOGSTORE, shard, "MTIzNDU2"))
    refused("ShardNotExist", lambda: to.get_begin_cursor(PROJECT, LOGSTORE, 4711))


def mistakes():
    refused("SignatureNotMatch", lambda: shards(client(secret="wrong")))
    refused("SignatureNotMatch", lambda: shards(client(v4=True, secret="wrong")))
    refused("Unauthorized", lambda: shards(client(key="nobody")))
    to = client()
    refused("ProjectNotExist", lambda: to.list_shards("other-project", LOGSTORE))
    refused("LogStoreNotExist", lambda: to.list_shards(PROJECT, "other-logstore"))


def group_calls():
    to, group = client(), "calls-" + uuid.uuid4().hex[:8]
    refused("ConsumerGroupNotExist", lambda: to.heart_beat(PROJECT, LOGSTORE, group, "c", []))
    to.create_consumer_group(PROJECT, LOGSTORE, group, 30, False)
    refused("ConsumerGroupAlreadyExist", lambda: to.create_consumer_group(PROJECT, LOGSTORE, group, 30, False))
    to.update_consumer_group(PROJECT, LOGSTORE, group, 20, True)
    listed = {g.get_consumer_group_name(): g for g in to.list_consumer_group(PROJECT, LOGSTORE).get_consumer_groups()}
    assert (listed[group].get_timeout(), listed[group].is_in_order()) == (20, True)
    beat = lambda consumer, held: to.heart_beat(PROJECT, LOGSTORE, group, consumer, held).get_shards()
    all_shards = [shard["shardID"] for shard in shards(to)]
    assert beat("a b", []) == all_shards
    refused("NotExistConsumerWithBody", lambda: beat("stranger", [0]))
    # A second one gets nothing while the first still works on everything, then its half.
    assert beat("c", []) == []
    half = beat("a b", all_shards)
    assert len(half) == len(all_shards) // 2
    assert beat("c", []) == []
    assert beat("a b", half) == half
    other = beat("c", [])
    assert sorted(half + other) == all_shards
    # Checkpoints, fenced and forced.
    cursor = to.get_begin_cursor(PROJECT, LOGSTORE, half[0]).get_cursor()
    points = to.get_check_point(PROJECT, LOGSTORE, group, half[0]).get_consumer_group_check_points()
    assert [point["checkpoint"] for point in points] == [""]
    to.update_check_point(PROJECT, LOGSTORE, group, half[0], cursor, "a b", False)
    refused("ConsumerNotMatch", lambda: to.update_check_point(PROJECT, LOGSTORE, group, half[0], cursor, "c", False))
    refused("ConsumerNotExist", lambda: to.update_check_point(PROJECT, LOGSTORE, group, half[0], cursor, "x", False))
    refused("InvalidShardCheckPoint", lambda: to.update_check_point(PROJECT, LOGSTORE, group, half[0], "?", "a b"))
    to.update_check_point(PROJECT, LOGSTORE, group, other[0], cursor, "x", True)
    points = to.get_check_point(PROJECT, LOGSTORE, group).get_consumer_group_check_points()
    point = next(point for point in points if point["shard"] == half[0])
    assert len(points) == len(all_shards)
    assert (point["checkpoint"], point["consumer"]) == (cursor, "a b")
    assert abs(point["updateTime"] / 1e6 - time.time()) < 600
    to.delete_consumer_group(PROJECT, LOGSTORE, group)
    refused("ConsumerGroupNotExist", lambda: beat("c", []))


class Journal:
    """What all consumers of a group have processed, in order."""

    def __init__(self, run):
        self.run = run
        self.lock = threading.Lock()
        self.entries = []  # (consumer, shard, number)

    def numbers(self, consumer=None):
        with self.lock:
            return [number for who, _, number in self.entries if consumer in (None, who)]

    def holders(self, shard):
        """Consumers of a shard in turn, without repetition."""
        turns = []
        with self.lock:
            for who, of, _ in self.entries:
                if of == shard and (not turns or turns[-1] != who):
                    turns.append(who)
        return turns


class Processor(ConsumerProcessorBase):
    def __init__(self, journal, consumer):
        super().__init__()
        self.journal, self.consumer = journal, consumer

    def process(self, groups, tracker):
        found = numbers_of(groups.LogGroups, self.journal.run)
        with self.journal.lock:
            self.journal.entries += [(self.consumer, self.shard_id, number) for number in found]
        self.save_checkpoint(tracker, force=True)


def consumer(journal, group, name, accept=None, in_order=False, v4=False):
    config = LogHubConfig(
        ENDPOINT,
        KEY,
        SECRET,
        PROJECT,
        LOGSTORE,
        group,
        name,
        heartbeat_interval=1,
        data_fetch_interval=0.1,
        in_order=in_order,
        auth_version="v4" if v4 else "v1",
        region="cn-hangzhou",
        accept_compress_type=accept,
    )
    worker = ConsumerWorker(Processor, config, args=(journal, name))
    worker.start()
    return worker


def end(worker):
    worker.shutdown()
    worker.join(SECONDS)
    assert not worker.is_alive(), "the consumer did not stop"


def two_consumers_share_a_group():
    to, run = client(), uuid.uuid4().hex
    group, journal = "python-" + run[:8], Journal(run)
    count = len(shards(to))
    assert count >= 4, "start the server with 4 shards"
    numbers = iter(range(10**9))
    written = 0

    def write(groups):
        nonlocal written
        for _ in range(groups):
            put(to, run, [next(numbers), next(numbers)])
            written += 2

    def held(name):
        points = to.get_check_point(PROJECT, LOGSTORE, group).get_consumer_group_check_points()
        return sum(point["consumer"] == name for point in points)

    def all_processed():
        return set(journal.numbers()) == set(range(written))

    write(100)
    a = consumer(journal, group, "a", accept="lz4")
    until("a has processed everything", all_processed)
    b = consumer(journal, group, "b", accept="zstd", v4=True)
    # Logs keep coming while shards are handed over.
    while held("b") < count // 2:
        write(5)
    write(200)
    until("both have processed everything", all_processed)
    assert held("a") == held("b") == count // 2
    assert len(journal.numbers("b")) > 100, "b takes part"
    end(b)
    write(100)
    until("a has taken over what b left", all_processed)
    assert held("a") == count
    end(a)
    # A third one begins where both have ended.
    write(50)
    c = consumer(journal, group, "c")
    until("c has gone on from the checkpoints", all_processed)
    assert set(journal.numbers("c")) == set(range(written - 100, written))
    end(c)
    for shard in range(count):
        turns = journal.holders(shard)
        assert turns in (["a", "c"], ["a", "b", "a", "c"]), "shard %d was not handed over but shared: %s" % (shard, turns)
    doubled = len(journal.numbers()) - written
    assert doubled == 0, "%d logs were processed twice though nothing failed" % doubled


def children_wait_in_ordered_groups():
    to, run = client(), uuid.uuid4().hex
    group, journal = "ordered-" + run[:8], Journal(run)
    shard = next(s["shardID"] for s in shards(to) if int(s["inclusiveBeginKey"], 16) == 0 and s["status"] == "readwrite")
    key = "00000000000000000000000000000001"
    for n in range(100):
        put(to, run, [n], hash_key=key)
    changed = to.split_shard(PROJECT, LOGSTORE, shard, "0fffffffffffffffffffffffffffffff").get_shards_info()
    assert len(changed) == 3
    state = {s["shardID"]: s["status"] for s in shards(to)}
    child = min(s["shardID"] for s in changed if s["shardID"] != shard)
    assert (state[shard], state[child]) == ("readonly", "readwrite")
    for n in range(100, 200):
        put(to, run, [n], hash_key=key)
    a = consumer(journal, group, "a", in_order=True)
    until("everything is processed", lambda: len(journal.numbers()) == 200)
    with journal.lock:
        order = [of for _, of, _ in journal.entries]
    assert order == [shard] * 100 + [child] * 100, "the child was read before its parent was consumed"
    end(a)
    # And back: both children become one shard again.
    merged = to.merge_shard(PROJECT, LOGSTORE, child).get_shards_info()
    assert len(merged) == 3 and max(s["shardID"] for s in merged) > child


if __name__ == "__main__":
    assert zstd, "the SDK packs with zstd only where that library is"
    for check in (
        put_and_pull,
        incompressible,
        cursors,
        mistakes,
        group_calls,
        two_consumers_share_a_group,
        children_wait_in_ordered_groups,
    ):
        began = time.time()
        check()
        print("python: %s (%.1f s)" % (check.__name__.replace("_", " "), time.time() - began), flush=True)
