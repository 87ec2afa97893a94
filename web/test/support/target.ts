import { spawn, type ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';
import { mkdir, mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { build } from 'vite';
import type { Root } from '../../src/api/types';
import { until } from './harness';
import { SAMPLE_FILES, SAMPLE_PICTURES, writeSamples } from './samples';
import { DevServer, type Options } from './server';

const READY_MS = 120_000;

// The server under test, with the sample folder as its root "samples".
export interface Target {
  url: string;
  folder: string;
  real: boolean;
  stop(): Promise<void>;
}

export async function newFolder(): Promise<string> {
  return mkdtemp(join(tmpdir(), 'msearch-web-'));
}

export async function call<T>(url: string, path: string, body?: unknown): Promise<T> {
  const response = await fetch(url + path, body === undefined ? {} : {
    method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body),
  });
  if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
  return (await response.json()) as T;
}

export async function addRoot(
  url: string, path: string, name: string, files: number, options: object = {},
): Promise<void> {
  await call(url, '/api/roots', { path, name, ...options });
  await until(`root ${name} is read`, async () => {
    const { roots } = await call<{ roots: Root[] }>(url, '/api/roots');
    const counts = roots.find((root) => root.name === name)?.counts;
    return counts !== undefined && counts.files >= files && counts.pending === 0;
  }, READY_MS);
}

export async function startDevServer(options: Partial<Options> = {}): Promise<DevServer> {
  const dist = 'dist';
  if (!(await stat(join(dist, 'index.html')).catch(() => undefined))) await build({ logLevel: 'warn' });
  const server = new DevServer({ dist, extensions: ['.png', '.md', '.wav'], ...options });
  await server.start();
  return server;
}

async function startBinary(binary: string, data: string): Promise<{ url: string; child: ChildProcess }> {
  await mkdir(data, { recursive: true });
  const child = spawn(binary, ['run', 'both', '--port', '0', '--data', data], {
    stdio: ['ignore', 'pipe', 'inherit'], cwd: data,
  });
  const lines = createInterface({ input: child.stdout! });
  const url = await new Promise<string>((done, fail) => {
    const timer = setTimeout(() => fail(new Error(`${binary}: not ready in time`)), READY_MS);
    child.once('error', fail);
    child.once('exit', (code) => fail(new Error(`${binary}: ended with ${code} before it was ready`)));
    lines.on('line', (line) => {
      const ready = /^ready (http:\/\/\S+)/.exec(line);
      if (!ready) return;
      clearTimeout(timer);
      done(ready[1]!.replace(/\/$/, ''));
    });
  });
  return { url, child };
}

async function stopBinary(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null) return;
  const ended = new Promise((done) => child.once('exit', done));
  child.kill('SIGTERM');
  const impatient = setTimeout(() => child.kill('SIGKILL'), 30_000);
  await ended;
  clearTimeout(impatient);
}

// The server at MSEARCH_URL, else the program MSEARCH_BINARY on an empty data folder, else the
// development server.
export async function startTarget(): Promise<Target> {
  const folder = await newFolder();
  const samples = join(folder, 'samples');
  await writeSamples(samples);
  const given = process.env.MSEARCH_URL;
  const binary = process.env.MSEARCH_BINARY;
  let stop = async (): Promise<void> => {};
  let url = given?.replace(/\/$/, '') ?? '';
  if (!given && binary) {
    const running = await startBinary(binary, join(folder, 'data'));
    url = running.url;
    stop = () => stopBinary(running.child);
  } else if (!given) {
    const server = await startDevServer();
    url = server.url;
    stop = () => server.stop();
  }
  const clean = async (): Promise<void> => {
    if (given) await fetch(`${url}/api/roots/samples`, { method: 'DELETE' });
    await stop();
    await rm(folder, { recursive: true, force: true });
  };
  try {
    await addRoot(url, samples, 'samples', SAMPLE_FILES);
    await until('a picture answers a search', async () => {
      const { media } = await call<{ media: { media_id: unknown; type: string }[] }>(
        url, `/api/media?limit=${SAMPLE_PICTURES}`);
      const picture = media.find(({ type }) => type === 'image');
      await call(url, '/api/search', { image: { media_id: picture?.media_id }, limit: 1 });
      return true;
    }, READY_MS);
  } catch (error) {
    await clean();
    throw error;
  }
  return { url, folder, real: Boolean(given || binary), stop: clean };
}
