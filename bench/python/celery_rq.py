# Celery and RQ on the Redis server at PORT: no-op tasks with payloads of 100 bytes and stored results.
#   celery_rq.py PORT celery|rq process N [POOL CONCURRENCY] | enqueue N | latency N | memory N
# Prints one line of JSON.
import json
import os
import subprocess
import sys
import time

port, peer, what, count = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
pool, concurrency = (sys.argv[5:7] + ["solo", "1"])[:2] if len(sys.argv) > 6 else ("solo", "1")
os.environ["BENCH_REDIS_PORT"] = port
here = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, here)
os.environ["PYTHONPATH"] = here

import redis  # noqa: E402

import bench_tasks  # noqa: E402

server = redis.Redis(port=int(port))


def payload(number):
    path = ("/photos/2024/07/IMG_%d.jpg" % number).ljust(40, "_")
    return {"path": path, "content": "9f86d081884c7d659a2feaa0c55ad015a3bf"}


if peer == "rq":
    import rq

    queue = rq.Queue("bench", connection=server)

    def submit(number):
        return queue.enqueue(bench_tasks.rq_noop, payload(number), result_ttl=3600)

    def done():
        return server.zcard("rq:finished:bench")

    def worker():
        return [sys.executable, "-m", "rq.cli", "worker", "-q", "-w", "rq.worker.SimpleWorker",
                "--url", "redis://127.0.0.1:%s/0" % port, "bench"]
else:
    def submit(number):
        return bench_tasks.noop.delay(payload(number))

    before = 0

    def done():
        # Results are the only keys that come one for each task.
        return max(0, server.dbsize() - 8)

    def worker():
        return [sys.executable, "-m", "celery", "-A", "bench_tasks", "worker", "-l", "CRITICAL",
                "-P", pool, "-c", concurrency, "--without-gossip", "--without-mingle",
                "--without-heartbeat"]


def start_worker():
    return subprocess.Popen(worker(), cwd=here, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def used():
    return server.info("memory")["used_memory"]


if what == "enqueue":
    start = time.monotonic()
    for i in range(count):
        submit(i)
    print(json.dumps({"rate": count / (time.monotonic() - start)}))
elif what == "memory":
    empty = used()
    for i in range(count):
        submit(i)
    print(json.dumps({"bytes": (used() - empty) / count}))
elif what == "process":
    for i in range(count):
        submit(i)
    process = start_worker()
    # From the tenth part on: the start of the program is not what is measured.
    while done() < count // 10:
        time.sleep(0.005)
    first, start = done(), time.monotonic()
    while done() < count - 8:
        time.sleep(0.005)
    rate = (count - 8 - first) / (time.monotonic() - start)
    process.terminate()
    process.wait()
    print(json.dumps({"rate": rate}))
elif what == "latency":
    process = start_worker()
    times = []
    for i in range(count + 20):
        start = time.monotonic()
        job = submit(i)
        if peer == "rq":
            while job.get_status() != "finished":
                time.sleep(0.0005)
        else:
            job.get(timeout=60)
        if i >= 20:
            times.append((time.monotonic() - start) * 1000)
    process.terminate()
    process.wait()
    times.sort()
    print(json.dumps({"p50_ms": times[count // 2], "p99_ms": times[int(count * 0.99)]}))
