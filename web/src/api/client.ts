import type {
  AskedTask, Failure, FailureClass, Filters, Health, Id, Media, MediaList, ModelList, Problem, Queue, Root, SearchAnswer, Worker,
} from './types';

// An answer that is not a success, in the words of the server's application/problem+json. `code`
// is stable; 'offline' and 'unexpected_answer' are the page's own.
export class ApiError extends Error {
  readonly code: string;
  readonly status: number;
  readonly title: string;
  readonly detail: string;

  constructor(problem: Problem) {
    super(problem.detail || problem.title);
    this.code = problem.code;
    this.status = problem.status;
    this.title = problem.title;
    this.detail = problem.detail ?? '';
  }
}

const TOKEN_KEY = 'msearch.token';

// Asks the user for a token when the server wants one; ends when the server has taken it.
let askForToken: (() => Promise<void>) | undefined;
let asking: Promise<void> | undefined;

export function onTokenNeeded(ask: () => Promise<void>): void {
  askForToken = ask;
}

// The address of an API path or of a path that the server sent, relative to where the page is.
export function address(path: string): string {
  return new URL(path.replace(/^\//, ''), document.baseURI).href;
}

// A stretch of a film as a browser can play it, whatever the file itself is.
export function clipAddress(id: Id, start: number, end: number): string {
  return address(`/api/media/${encodeURIComponent(id)}/clip?start=${start}&end=${end}`);
}

// Ends when the server has made all of the clip: a part can only be given of what is there.
export async function clipMade(clip: string, signal: AbortSignal): Promise<boolean> {
  const headers = { Range: 'bytes=0-0' };
  const response = await fetch(clip, { headers, signal, cache: 'no-store' });
  return response.status === 206;
}

export function contentAddress(id: Id): string {
  return address(`/api/media/${encodeURIComponent(id)}/content`);
}

function storedToken(): string | null {
  try {
    return localStorage.getItem(TOKEN_KEY);
  } catch {
    return null;
  }
}

async function send(path: string, init: RequestInit): Promise<Response> {
  const headers = new Headers(init.headers);
  const token = storedToken();
  if (token) headers.set('Authorization', `Bearer ${token}`);
  headers.set('Accept', 'application/json');
  try {
    return await fetch(address(path), { ...init, headers });
  } catch (error) {
    if (error instanceof DOMException && error.name === 'AbortError') throw error;
    throw new ApiError({ title: 'The server does not answer', status: 0, code: 'offline' });
  }
}

async function problemOf(response: Response): Promise<ApiError> {
  const fallback: Problem = {
    title: response.statusText || `HTTP ${response.status}`,
    status: response.status,
    code: 'unexpected_answer',
  };
  try {
    return new ApiError({ ...fallback, ...((await response.json()) as Partial<Problem>) });
  } catch {
    return new ApiError(fallback);
  }
}

async function request<T>(path: string, init: RequestInit = {}): Promise<T> {
  let response = await send(path, init);
  if (response.status === 401) {
    await signIn();
    response = await send(path, init);
  }
  if (!response.ok) throw await problemOf(response);
  const text = await response.text();
  try {
    return (text ? JSON.parse(text) : {}) as T;
  } catch {
    throw new ApiError({
      title: 'The answer is not JSON', status: response.status, code: 'unexpected_answer',
    });
  }
}

// A stored token whose session ran out renews it silently; otherwise the user is asked, once for
// all the requests that wait.
function signIn(): Promise<void> {
  asking ??= (async () => {
    const token = storedToken();
    if (!token || !(await openSession(token))) await askForToken?.();
  })().finally(() => (asking = undefined));
  return asking;
}

// Exchanges the token for the cookie that pictures and the event stream need. Answers whether the
// server took it.
export async function openSession(token: string): Promise<boolean> {
  const response = await fetch(address('/api/session'), {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ token }),
  });
  if (response.ok) localStorage.setItem(TOKEN_KEY, token);
  return response.ok;
}

function post<T>(path: string, body?: unknown, signal?: AbortSignal): Promise<T> {
  return request<T>(path, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify(body ?? {}),
    signal,
  });
}

function query(parameters: Record<string, string | number | undefined>): string {
  const pairs = new URLSearchParams();
  for (const [key, value] of Object.entries(parameters)) {
    if (value !== undefined && value !== '') pairs.set(key, String(value));
  }
  return pairs.size > 0 ? `?${pairs}` : '';
}

export interface SearchRequest {
  query?: string;
  picture?: { blob: Blob; kind: 'image' | 'audio' };
  like?: Id;
  filters: Filters;
  limit: number;
  offset: number;
}

export function search(wanted: SearchRequest, signal: AbortSignal): Promise<SearchAnswer> {
  const { query: words, picture, like, filters, limit, offset } = wanted;
  if (!picture) {
    const body = {
      ...(words ? { query: words } : {}),
      ...(like !== undefined ? { image: { media_id: like } } : {}),
      filters, limit, offset,
    };
    return post('/api/search', body, signal);
  }
  const form = new FormData();
  if (words) form.set('query', words);
  form.set('filters', JSON.stringify(filters));
  form.set('limit', String(limit));
  form.set('offset', String(offset));
  const { blob, kind } = picture;
  form.set(kind, blob, blob instanceof File ? blob.name : kind);
  return request('/api/search', { method: 'POST', body: form, signal });
}

const name = encodeURIComponent;
const TEXT_BYTES = 256 * 1024;

export const api = {
  media: (limit: number, offset: number) =>
    request<MediaList>(`/api/media${query({ limit, offset })}`),
  medium: (id: Id) => request<Media>(`/api/media/${name(id)}`),
  // The beginning of a text file; the rest is for the download. A text in another encoding than
  // UTF-8 throws a TypeError.
  text: async (id: Id) => {
    const response = await send(`/api/media/${name(id)}/content`, {
      headers: { Range: `bytes=0-${TEXT_BYTES - 1}` },
    });
    if (!response.ok) throw await problemOf(response);
    const bytes = await response.arrayBuffer();
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes, { stream: true });
  },

  // A picture makes it a question about that picture.
  ask: (question: string, picture?: Blob) => {
    if (!picture) return post<AskedTask>('/api/async/query', { question });
    const form = new FormData();
    form.set('question', question);
    form.set('image', picture, picture instanceof File ? picture.name : 'picture');
    return request<AskedTask>('/api/async/query', { method: 'POST', body: form });
  },
  asked: (task: string, wait: number) =>
    request<AskedTask>(`/api/async/task/${name(task)}${query({ wait })}`),
  cancelAsked: (task: string) =>
    request<AskedTask>(`/api/async/task/${name(task)}`, { method: 'DELETE' }),

  roots: async () => (await request<{ roots: Root[] }>('/api/roots')).roots,
  addRoot: (path: string, label: string) =>
    post<Root>('/api/roots', label ? { path, name: label } : { path }),
  removeRoot: (root: string) => request(`/api/roots/${name(root)}`, { method: 'DELETE' }),
  rootAction: (root: string, action: 'scan' | 'pause' | 'resume') =>
    post(`/api/roots/${name(root)}/${action}`),

  failures: (root: string, code: string, offset: number, limit: number) =>
    request<{ failures: Failure[]; total: number; classes: FailureClass[] }>(
      `/api/failures${query({ root, code, offset, limit })}`),
  retryFailures: (root: string, code: string) =>
    post('/api/failures/retry', { ...(root && { root }), ...(code && { code }) }),

  // 503 still carries the components, which is what one wants to read then.
  health: async (): Promise<Health> => {
    const response = await send('/health', {});
    const health = (await response.json()) as Health;
    if (!Array.isArray(health.components)) throw await problemOf(response);
    return health;
  },
  workers: async () => (await request<{ workers: Worker[] }>('/api/workers')).workers,
  queues: async () => (await request<{ queues: Queue[] }>('/api/queue/stats')).queues,
  queueAction: (queue: string, action: 'pause' | 'resume') =>
    post(`/api/queue/${name(queue)}/${action}`),
  models: () => request<ModelList>('/api/models'),
  useModel: (model: string) => post(`/api/models/${name(model)}/use`),
};
