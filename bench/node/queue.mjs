// BullMQ on the Redis server at PORT: no-op jobs with payloads of 100 bytes and stored results.
//   node queue.mjs PORT bulk N | process N CONCURRENCY | latency N | memory N | work
// Prints one line of JSON.
import {spawn} from 'node:child_process';
import {once} from 'node:events';
import {createRequire} from 'node:module';
import {fileURLToPath} from 'node:url';

const require = createRequire(import.meta.url);
const {Queue, QueueEvents, Worker} = require('bullmq');
const IORedis = require('ioredis');

const [port, what, count, concurrency] = process.argv.slice(2).map((word) => (isNaN(word) ? word : Number(word)));
const connection = () => new IORedis({port, host: '127.0.0.1', maxRetriesPerRequest: null});
const queue = new Queue('bench', {connection: connection()});

const payload = (number) => ({
  path: `/photos/2024/07/IMG_${number}.jpg`.padEnd(40, '_'),
  content: '9f86d081884c7d659a2feaa0c55ad015a3bf',
});

async function fill() {
  for (let first = 0; first < count; first += 1000) {
    const jobs = [];
    for (let i = first; i < Math.min(first + 1000, count); ++i) jobs.push({name: 'noop', data: payload(i)});
    await queue.addBulk(jobs);
  }
}

function report(figures) {
  console.log(JSON.stringify(figures));
  process.exit(0);
}

await queue.waitUntilReady();
if (what === 'bulk') {
  const start = performance.now();
  await fill();
  report({rate: (count / (performance.now() - start)) * 1000});
}
if (what === 'memory') {
  const redis = connection();
  const used = async () => Number(/used_memory:(\d+)/.exec(await redis.info('memory'))[1]);
  const before = await used();
  await fill();
  report({bytes: ((await used()) - before) / count});
}
if (what === 'process') {
  await queue.pause();
  await fill();
  let done = 0;
  let start = 0;
  const worker = new Worker('bench', async () => ({}), {connection: connection(), concurrency});
  await worker.waitUntilReady();
  worker.on('completed', () => {
    if (++done === count) report({rate: (count / (performance.now() - start)) * 1000});
  });
  start = performance.now();
  await queue.resume();
}
if (what === 'work') {
  const worker = new Worker('bench', async () => ({}), {connection: connection()});
  await worker.waitUntilReady();
  console.log('ready');
}
if (what === 'latency') {
  const events = new QueueEvents('bench', {connection: connection()});
  await events.waitUntilReady();
  // In a process of its own, as msearch's and Celery's.
  const worker = spawn(process.execPath, [fileURLToPath(import.meta.url), port, 'work']);
  process.on('exit', () => worker.kill());
  await once(worker.stdout, 'data');
  const times = [];
  for (let i = 0; i < count + 50; ++i) {
    const start = performance.now();
    const job = await queue.add('noop', payload(i));
    await job.waitUntilFinished(events);
    if (i >= 50) times.push(performance.now() - start);
  }
  times.sort((a, b) => a - b);
  report({p50_ms: times[count >> 1], p99_ms: times[Math.floor(count * 0.99)]});
}
