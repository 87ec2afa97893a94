# The no-op task of the peers, in a module of its own so that their workers can import it.
import os

from celery import Celery

url = "redis://127.0.0.1:%s/0" % os.environ.get("BENCH_REDIS_PORT", "6379")
app = Celery("bench_tasks", broker=url, backend=url)
app.conf.update(
    worker_prefetch_multiplier=int(os.environ.get("BENCH_PREFETCH", "100")),
    task_acks_late=False,
    worker_hijack_root_logger=False,
    broker_connection_retry_on_startup=True,
)


@app.task
def noop(payload):
    return {}


def rq_noop(payload):
    return {}
