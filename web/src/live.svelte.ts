import { api, ApiError } from './api/client';
import { listen } from './api/events';
import type { Root } from './api/types';

let roots = $state.raw<Root[]>([]);
let known = $state(false);
let streaming = $state(true);
let problem = $state<ApiError | null>(null);
let activity = $state(0);

// What the server tells by itself, kept for every view.
export const live = {
  get roots(): Root[] {
    return roots;
  },
  // False until the first answer: an empty library is not the same as one not heard of yet.
  get known(): boolean {
    return known;
  },
  get streaming(): boolean {
    return streaming;
  },
  get problem(): ApiError | null {
    return problem;
  },
  // Grows whenever tasks or workers changed, for views that show them.
  get activity(): number {
    return activity;
  },
  get files(): { all: number; indexed: number; pending: number; failed: number } {
    const sum = (key: keyof Root['counts']): number =>
      roots.reduce((total, root) => total + (root.counts?.[key] ?? 0), 0);
    return {
      all: sum('files'), indexed: sum('indexed'), pending: sum('pending'), failed: sum('failed'),
    };
  },
};

function take(answer: Root[]): void {
  roots = answer;
  known = true;
  problem = null;
}

let refreshing: Promise<void> | undefined;

function fetchRoots(): Promise<void> {
  refreshing ??= api.roots()
    .then(take, (error: ApiError) => (problem = error))
    .then(() => (refreshing = undefined));
  return refreshing;
}

const SETTLED_MS = 1500;

// Fetches the roots after something was asked for; a call while one is under way joins it. The stream
// tells only what differs from what it told last, so a state in between that is fetched here may never
// be corrected by it: hence a second look.
export function refreshRoots(): Promise<void> {
  setTimeout(() => void fetchRoots(), SETTLED_MS);
  return fetchRoots();
}

export function startLive(): () => void {
  return listen({
    event(name, data) {
      if (name !== 'roots') activity += 1;
      else if (Array.isArray((data as { roots?: Root[] }).roots)) take((data as { roots: Root[] }).roots);
      else void fetchRoots();
    },
    poll() {
      void fetchRoots();
      activity += 1;
    },
    live(now) {
      streaming = now;
    },
  });
}
