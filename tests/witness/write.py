"""Writes logs with the official Python SDK, as a user's program would, through the proxy of the environment:

    http_proxy=http://127.0.0.1:PORT python tests/witness/write.py --count 200000 --keys 1000 --seed 7

Each log has `a` (one of the keys, some far more often than others), `b` (its number) and `c`. The last line of output is
JSON: how often each `a` was written.
"""

import argparse
import json
import random
import time
from collections import Counter

from aliyun.log import LogClient, LogItem, PutLogsRequest

parser = argparse.ArgumentParser()
parser.add_argument("--endpoint", default="http://cn-hangzhou.log.aliyuncs.com")
parser.add_argument("--project", default="test-project")
parser.add_argument("--logstore", default="test-logstore")
parser.add_argument("--key", default="test-key")
parser.add_argument("--secret", default="test-secret")
parser.add_argument("--count", type=int, required=True)
parser.add_argument("--keys", type=int, default=1000)
parser.add_argument("--seed", type=int, default=1)
arguments = parser.parse_args()

client = LogClient(arguments.endpoint, arguments.key, arguments.secret)
choose = random.Random(arguments.seed)
written, n = Counter(), 0
while n < arguments.count:
    items = []
    for _ in range(min(choose.randint(1, 1000), arguments.count - n)):
        # Each key at least once, and every second log one of the first tenth.
        a = n if n < arguments.keys else choose.randrange(arguments.keys if n % 2 else max(1, arguments.keys // 10))
        items.append(LogItem(int(time.time()), contents=[("a", str(a)), ("b", str(n)), ("c", "row %d" % n)]))
        written[a] += 1
        n += 1
    packing = choose.choice(("lz4", "zstd"))
    topic = choose.choice(("", "shop"))
    request = PutLogsRequest(arguments.project, arguments.logstore, topic, "10.0.0.7", items, compress_type=packing)
    client.put_logs(request)
print(json.dumps(written))
