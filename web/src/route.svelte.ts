import type { Filters, Id } from './api/types';

export type View = 'search' | 'ask' | 'library' | 'status';

// What the page shows, all of it in the address so that it can be shared and gone back to. Only
// the bytes of a query picture are not: `picture` names one held in memory (see queryPicture).
export interface Route {
  view: View;
  q: string;
  like: string;
  picture: string;
  root: string;
  type: string[];
  from: string;
  to: string;
  path: string;
  min: string;
  max: string;
  media: string;
}

const EMPTY: Route = {
  view: 'search', q: '', like: '', picture: '', root: '', type: [], from: '', to: '', path: '',
  min: '', max: '', media: '',
};
const TEXT_KEYS = ['q', 'like', 'root', 'from', 'to', 'path', 'min', 'max', 'media'] as const;

function read(): Route {
  const pairs = new URLSearchParams(location.search);
  const view = pairs.get('view');
  const route: Route = { ...EMPTY, type: pairs.getAll('type') };
  if (view === 'ask' || view === 'library' || view === 'status') route.view = view;
  for (const key of TEXT_KEYS) route[key] = pairs.get(key) ?? '';
  const state = history.state as { picture?: string } | null;
  route.picture = state?.picture ?? '';
  return route;
}

function write(route: Route): string {
  const pairs = new URLSearchParams();
  if (route.view !== 'search') pairs.set('view', route.view);
  for (const key of TEXT_KEYS) if (route[key]) pairs.set(key, route[key]);
  for (const type of route.type) pairs.append('type', type);
  return pairs.size > 0 ? `?${pairs}` : location.pathname;
}

let current = $state.raw<Route>(read());
addEventListener('popstate', () => (current = read()));

export const route = {
  get now(): Route {
    return current;
  },
};

// The address of a route; what `change` leaves out starts empty.
export function linkTo(change: Partial<Route>): string {
  return write({ ...EMPTY, ...change });
}

// Goes to a route; what `change` leaves out stays as it is.
export function navigate(change: Partial<Route>, how: 'push' | 'replace' = 'push'): void {
  const next = { ...current, ...change };
  const opened = next.media !== '' && (how === 'push' || wasOpened());
  const state = { picture: next.picture, opened };
  if (how === 'push') history.pushState(state, '', write(next));
  else history.replaceState(state, '', write(next));
  current = next;
}

function wasOpened(): boolean {
  return (history.state as { opened?: boolean } | null)?.opened ?? false;
}

// Leaves the details for what lay beneath, without a step in the history that shows the same.
export function closeMedia(): void {
  if (wasOpened()) history.back();
  else navigate({ media: '' }, 'replace');
}

// Goes to a route with everything else emptied.
export function goTo(change: Partial<Route>): void {
  navigate({ ...EMPTY, ...change });
  scrollTo(0, 0);
}

// Ids are opaque to the page but keep their JSON type: a string of digits is marked with '~' so
// that it does not come back from the address as an integer.
export function idToText(id: Id): string {
  return typeof id === 'string' && /^(~|\d+$)/.test(id) ? `~${id}` : String(id);
}

export function textToId(text: string): Id {
  if (text.startsWith('~')) return text.slice(1);
  return /^\d{1,15}$/.test(text) ? Number(text) : text;
}

const MEGABYTE = 1_000_000;

function megabytes(text: string): number | undefined {
  const value = Number(text);
  return text && Number.isFinite(value) && value >= 0 ? Math.round(value * MEGABYTE) : undefined;
}

// The moment that a day of the user's own calendar begins, or the day `later` days after it.
function day(text: string, later = 0): string | undefined {
  const date = new Date(`${text}T00:00:00`);
  if (!text || Number.isNaN(date.getTime())) return undefined;
  date.setDate(date.getDate() + later);
  return date.toISOString();
}

export function filtersOf(route: Route): Filters {
  const filters: Filters = {
    root: route.root ? [route.root] : undefined,
    type: route.type.length > 0 ? route.type : undefined,
    path_prefix: route.path || undefined,
    date_from: day(route.from),
    date_to: day(route.to, 1),  // exclusive, so that the last day counts whole
    size_min: megabytes(route.min),
    size_max: megabytes(route.max),
  };
  return JSON.parse(JSON.stringify(filters)) as Filters;
}

export function countFilters(route: Route): number {
  return Object.keys(filtersOf(route)).length;
}

export const NO_FILTERS: Partial<Route> = {
  root: '', type: [], from: '', to: '', path: '', min: '', max: '',
};
