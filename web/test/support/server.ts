import { readFile, stat } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { basename, extname, join, normalize } from 'node:path';
import type { Filters, Model } from '../../src/api/types';
import { Library } from './library';
import { colours, decodePng } from './png';

// A small program that speaks the part of the HTTP API that the page uses, over real folders. The
// page is developed against it, and tested where a real server can't be made to misbehave on demand.

export interface Options {
  dist: string;
  port?: number;
  token?: string;
  filesPerSecond?: number;
  extensions?: string[];
}

const POLICY = "default-src 'self'; img-src 'self' blob: data:; object-src 'none'; base-uri 'self'";
const PAGE_TYPES: Record<string, string> = {
  '.html': 'text/html; charset=utf-8', '.js': 'text/javascript', '.css': 'text/css',
  '.svg': 'image/svg+xml',
};

class Problem extends Error {
  constructor(readonly status: number, readonly code: string, title: string, readonly detail = '') {
    super(title);
  }
}

interface Call {
  request: IncomingMessage;
  response: ServerResponse;
  url: URL;
  parts: string[];
}

export class DevServer {
  readonly library: Library;
  url = '';
  // Tests switch the event stream off to see the page poll.
  streaming = true;
  #streams = new Set<ServerResponse>();
  #sockets = new Set<Socket>();
  #pausedQueues = new Set<string>();
  #model = 'open-1k';
  #server = createServer((request, response) => void this.#answer(request, response));

  constructor(readonly options: Options) {
    this.library = new Library(options.filesPerSecond ?? 400, options.extensions && new Set(options.extensions));
    this.library.on('change', () => this.#tell());
    this.#server.on('connection', (socket) => {
      this.#sockets.add(socket);
      socket.on('close', () => this.#sockets.delete(socket));
    });
  }

  async start(): Promise<string> {
    await new Promise<void>((done) => this.#server.listen(this.options.port ?? 0, '127.0.0.1', done));
    this.url = `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
    return this.url;
  }

  async stop(): Promise<void> {
    this.library.close();
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((done) => this.#server.close(done));
  }

  dropStreams(): void {
    this.streaming = false;
    for (const stream of this.#streams) stream.destroy();
    this.#streams.clear();
  }

  #roots(): object {
    return { roots: [...this.library.folders.values()].map((folder) => folder.root) };
  }

  #tell(): void {
    for (const stream of this.#streams) {
      stream.write(`event: roots\ndata: ${JSON.stringify(this.#roots())}\n\n`);
      stream.write('event: tasks\ndata: {}\n\n');
    }
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', 'http://here');
    const call = { request, response, url, parts: url.pathname.split('/').filter(Boolean).map(decodeURIComponent) };
    try {
      if (call.parts[0] === 'health') return this.#json(call, this.#health());
      if (call.parts[0] !== 'api') return await this.#page(call);
      this.#authorise(call);
      await this.#route(call);
    } catch (error) {
      const problem = error instanceof Problem
        ? error : new Problem(500, 'internal', String((error as Error).message));
      if (response.headersSent) return void response.destroy();
      response.writeHead(problem.status, { 'Content-Type': 'application/problem+json' });
      response.end(JSON.stringify({
        type: 'about:blank', title: problem.message, status: problem.status, detail: problem.detail,
        code: problem.code,
      }));
    }
  }

  #authorise({ request, parts }: Call): void {
    const { token } = this.options;
    if (!token || parts[1] === 'session') return;
    const given = request.headers.authorization === `Bearer ${token}` ||
      request.headers.cookie?.includes(`session=${token}`);
    if (!given) throw new Problem(401, 'token_required', 'An access token is needed');
  }

  async #route(call: Call): Promise<void> {
    const { request, parts } = call;
    const [, noun, id, verb] = parts;
    const { library } = this;
    switch (`${request.method} ${noun}`) {
      case 'POST session': return this.#session(call);
      case 'GET events': return this.#events(call);
      case 'POST search': return this.#search(call);
      case 'GET roots': return this.#json(call, this.#roots());
      case 'POST roots': return id ? this.#rootAction(call, id, verb ?? '') : this.#addRoot(call);
      case 'DELETE roots':
        if (!library.remove(id ?? '')) throw new Problem(404, 'unknown_root', 'No such root', id);
        return this.#json(call, {});
      case 'GET media': return id ? this.#medium(call, id, verb) : this.#list(call);
      case 'GET failures': return this.#failures(call);
      case 'POST failures': {
        const { root, code } = await this.#body<{ root?: string; code?: string }>(request);
        return this.#json(call, { retried: library.retry(root, code) });
      }
      case 'GET workers': return this.#json(call, { workers: this.#workers() });
      case 'GET queue': return this.#json(call, { queues: this.#queues() });
      case 'POST queue':
        this.#pausedQueues[verb === 'pause' ? 'add' : 'delete'](id ?? '');
        return this.#json(call, {});
      case 'GET models': return this.#json(call, { models: this.#models() });
      case 'POST models':
        this.#model = id ?? '';
        return this.#json(call, {});
      default: throw new Problem(404, 'unknown_route', 'No such route', call.url.pathname);
    }
  }

  async #session(call: Call): Promise<void> {
    const { token } = await this.#body<{ token?: string }>(call.request);
    if (token !== this.options.token) throw new Problem(401, 'wrong_token', 'The token is wrong');
    call.response.setHeader('Set-Cookie', `session=${token}; HttpOnly; SameSite=Strict; Path=/`);
    this.#json(call, {});
  }

  #events({ request, response }: Call): void {
    if (!this.streaming) throw new Problem(503, 'no_stream', 'Not now');
    response.writeHead(200, { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-store' });
    response.write(`event: roots\ndata: ${JSON.stringify(this.#roots())}\n\n`);
    this.#streams.add(response);
    request.on('close', () => this.#streams.delete(response));
  }

  async #search(call: Call): Promise<void> {
    const began = performance.now();
    const asked = await this.#searchBody(call.request);
    const { hits, total, nothing_fits } =
      this.library.search(asked.query, asked.picture, asked.like, asked.filters);
    this.#json(call, {
      hits: hits.slice(asked.offset, asked.offset + asked.limit), total, nothing_fits,
      took_ms: performance.now() - began,
    });
  }

  async #searchBody(request: IncomingMessage): Promise<{
    query: string; picture?: Float32Array; like?: number; filters: Filters; limit: number; offset: number;
  }> {
    const kind = request.headers['content-type'] ?? '';
    if (!kind.startsWith('multipart/')) {
      const body = await this.#body<{
        query?: string; image?: { media_id: number }; filters?: Filters; limit?: number; offset?: number;
      }>(request);
      const { query = '', filters = {}, limit = 20, offset = 0 } = body;
      return { query, filters, limit, offset, like: body.image?.media_id };
    }
    const bytes = new Uint8Array(await this.#bytes(request));
    const form = await new Response(bytes, { headers: { 'content-type': kind } }).formData();
    const picture = Buffer.from(await (form.get('image') as unknown as Blob).arrayBuffer());
    return {
      query: String(form.get('query') ?? ''), filters: JSON.parse(String(form.get('filters') ?? '{}')),
      limit: Number(form.get('limit') ?? 20), offset: Number(form.get('offset') ?? 0),
      picture: this.#signature(picture),
    };
  }

  #signature(bytes: Buffer): Float32Array {
    try {
      return colours(decodePng(bytes));
    } catch (error) {
      throw new Problem(422, 'corrupt_media', 'The picture can’t be read', (error as Error).message);
    }
  }

  async #addRoot(call: Call): Promise<void> {
    const { path = '', name } = await this.#body<{ path?: string; name?: string }>(call.request);
    const folder = await stat(path).catch(() => undefined);
    if (!folder?.isDirectory()) {
      throw new Problem(422, 'root_not_found', 'There is no such folder', `${path}: no such directory`);
    }
    const label = name || basename(path);
    if (this.library.folders.has(label)) {
      throw new Problem(409, 'root_exists', 'A root of this name exists', label);
    }
    this.#json(call, await this.library.add(path, label), 201);
  }

  async #rootAction(call: Call, name: string, verb: string): Promise<void> {
    if (!this.library.folders.has(name)) throw new Problem(404, 'unknown_root', 'No such root', name);
    if (verb === 'scan') await this.library.scan(name);
    else this.library.pause(name, verb === 'pause');
    this.#json(call, {}, 202);
  }

  #list(call: Call): void {
    const all = [...this.library.items.values()].map((item) => item.media);
    const offset = Number(call.url.searchParams.get('offset') ?? 0);
    const limit = Number(call.url.searchParams.get('limit') ?? 50);
    this.#json(call, { media: all.slice(offset, offset + limit), total: all.length });
  }

  async #medium(call: Call, id: string, verb: string | undefined): Promise<void> {
    const item = this.library.items.get(Number(id));
    if (!item) throw new Problem(404, 'unknown_media', 'No such media file', id);
    if (!verb) return this.#json(call, item.media);
    const bytes = await readFile(item.file);
    const range = /^bytes=(\d+)-(\d*)$/.exec(call.request.headers.range ?? '');
    const from = Number(range?.[1] ?? 0);
    const to = Math.min(bytes.length - 1, range?.[2] ? Number(range[2]) : Infinity);
    call.response.writeHead(range ? 206 : 200, {
      'Accept-Ranges': 'bytes',
      ...(range ? { 'Content-Range': `bytes ${from}-${to}/${bytes.length}` } : {}),
      'Content-Type': item.media.mime ?? 'application/octet-stream', 'Cache-Control': 'max-age=60',
      'Content-Security-Policy': "default-src 'none'; style-src 'unsafe-inline'; sandbox",
    });
    call.response.end(bytes.subarray(from, to + 1));
  }

  #failures(call: Call): void {
    const root = call.url.searchParams.get('root');
    const offset = Number(call.url.searchParams.get('offset') ?? 0);
    const limit = Number(call.url.searchParams.get('limit') ?? 50);
    const code = call.url.searchParams.get('code');
    const ofRoot = [...this.library.folders.values()]
      .filter((folder) => !root || folder.root.name === root)
      .flatMap((folder) => [...folder.failures.values()]);
    const counts = new Map<string, number>();
    for (const failure of ofRoot) counts.set(failure.code, (counts.get(failure.code) ?? 0) + 1);
    const classes = [...counts].map(([name, count]) => ({ code: name, count }));
    const all = ofRoot.filter((failure) => !code || failure.code === code);
    this.#json(call, { failures: all.slice(offset, offset + limit), total: all.length, classes });
  }

  #pending(): number {
    return [...this.library.folders.values()].reduce((sum, { root }) => sum + root.counts.pending, 0);
  }

  #health(): object {
    return {
      status: 'ok',
      components: [
        { name: 'catalog', state: 'ok', detail: `${this.library.items.size} media files` },
        { name: 'index', state: 'ok', detail: 'exact' },
        { name: 'queue', state: 'ok', detail: 'embedded' },
        { name: 'monitor', state: 'ok', detail: `${this.library.folders.size} roots` },
      ],
    };
  }

  #workers(): object[] {
    const current = this.#pending() > 0 ? [...this.library.folders.values()][0]?.root.current : null;
    return ['task', 'task', 'embedding'].map((role, index) => ({
      id: `${role}-${index}`, role, pid: process.pid, host: 'localhost',
      state: current ? 'busy' : 'idle', device: role === 'embedding' ? 'cpu' : undefined,
      device_reason: 'no CUDA build of the runtime', model: role === 'embedding' ? this.#model : undefined,
      current, restarts: 0,
    }));
  }

  #queues(): object[] {
    return ['prepare', 'embed'].map((name) => ({
      name, queued: this.#pending(), started: this.#pending() > 0 ? 1 : 0,
      finished: this.library.items.size, failed: 0, paused: this.#pausedQueues.has(name),
    }));
  }

  #models(): Model[] {
    const models: Omit<Model, 'active'>[] = [
      { name: 'open-1k', title: 'Open 1k', state: 'ready', bytes: 42_000_000, licence: 'Apache-2.0',
        quality: 'Knows a thousand everyday things; words find pictures.', device: 'cpu',
        device_reason: 'asked for auto; the runtime has no CUDA' },
      { name: 'builtin', title: 'Built in', state: 'ready', bytes: 0, licence: 'Apache-2.0',
        quality: 'Colours and shapes only; picture to picture.' },
    ];
    return models.map((model) => ({ ...model, active: model.name === this.#model }));
  }

  async #page(call: Call): Promise<void> {
    const path = normalize(call.url.pathname === '/' ? '/index.html' : call.url.pathname);
    const bytes = await readFile(join(this.options.dist, path)).catch(() => undefined);
    if (!bytes) throw new Problem(404, 'unknown_route', 'No such page', path);
    call.response.writeHead(200, {
      'Content-Type': PAGE_TYPES[extname(path)] ?? 'application/octet-stream',
      'Content-Security-Policy': POLICY, 'X-Content-Type-Options': 'nosniff',
    });
    call.response.end(bytes);
  }

  async #bytes(request: IncomingMessage): Promise<Buffer> {
    const parts: Buffer[] = [];
    for await (const part of request) parts.push(part as Buffer);
    return Buffer.concat(parts);
  }

  async #body<T>(request: IncomingMessage): Promise<T> {
    const bytes = await this.#bytes(request);
    return JSON.parse(bytes.length > 0 ? bytes.toString() : '{}') as T;
  }

  #json({ response }: Call, body: unknown, status = 200): void {
    response.writeHead(status, { 'Content-Type': 'application/json', 'Cache-Control': 'no-store' });
    response.end(JSON.stringify(body));
  }
}
