import { api, ApiError, search } from '../api/client';
import type { Hit, Media } from '../api/types';
import { filtersOf, textToId, type Route } from '../route.svelte';
import { heldPicture } from './queryPicture';
import { tileOfMedia, tilesOf, type Tile } from './tiles';

const PAGE = 48;

// Everything in a route that a search depends on. Empty: nothing is asked, the library is shown.
export function searchKey(route: Route): string {
  const picture = heldPicture(route.picture) ? route.picture : '';
  if (!route.q && !route.like && !picture) return '';
  return JSON.stringify([route.q, route.like, picture, filtersOf(route)]);
}

// One search and the pages fetched of it. A new search cancels the one before; what it found stays
// on screen until the new answer is there.
class SearchSession {
  tiles = $state.raw<Tile[]>([]);
  total = $state(0);
  nothingFits = $state(false);
  orMore = $state(false);
  notice = $state('');
  tookMs = $state(0);
  busy = $state(false);
  more = $state(false);
  error = $state.raw<ApiError | null>(null);
  // The key of the search whose answer is shown.
  shown = $state('');

  #hits: Hit[] = [];
  #asked: Route | null = null;
  #abort: AbortController | undefined;

  async start(route: Route): Promise<void> {
    this.#asked = route;
    this.#hits = [];
    await this.#fetch();
  }

  async loadMore(): Promise<void> {
    if (this.more && !this.busy) await this.#fetch();
  }

  retry(): void {
    void this.#fetch();
  }

  clear(): void {
    this.#abort?.abort();
    this.#asked = null;
    this.#hits = [];
    Object.assign(this, { tiles: [], total: 0, more: false, error: null, shown: '', busy: false });
  }

  async #fetch(): Promise<void> {
    const route = this.#asked;
    if (!route) return;
    this.#abort?.abort();
    const abort = (this.#abort = new AbortController());
    const offset = tilesOf(this.#hits).length;
    this.busy = true;
    this.error = null;
    try {
      const answer = await search({
        query: route.q, like: route.like ? textToId(route.like) : undefined,
        picture: heldPicture(route.picture), filters: filtersOf(route), limit: PAGE, offset,
      }, abort.signal);
      if (abort.signal.aborted) return;
      this.#hits = [...this.#hits, ...answer.hits];
      this.tiles = tilesOf(this.#hits);
      this.more = this.tiles.length - offset >= PAGE;
      this.total = answer.total;
      this.orMore = answer.total_is_bound ?? false;
      this.notice = answer.notice ?? '';
      this.nothingFits = answer.nothing_fits;
      if (offset === 0) this.tookMs = answer.took_ms;
      this.shown = searchKey(route);
    } catch (error) {
      if (abort.signal.aborted) return;
      this.error = error as ApiError;
      if (offset === 0) this.tiles = [];
      this.shown = searchKey(route);
    } finally {
      if (this.#abort === abort) this.busy = false;
    }
  }
}

// What the library holds, for the page before a search.
class Browse {
  tiles = $state.raw<Tile[]>([]);
  total = $state(0);
  known = $state(false);
  busy = $state(false);

  #media: Media[] = [];

  async refresh(stillReading: boolean): Promise<void> {
    if (stillReading && this.#media.length >= PAGE) return;
    await this.#fetch(0, Math.max(PAGE, this.#media.length));
  }

  async loadMore(): Promise<void> {
    await this.#fetch(this.#media.length, PAGE);
  }

  async #fetch(offset: number, limit: number): Promise<void> {
    if (this.busy) return;
    this.busy = true;
    try {
      const answer = await api.media(limit, offset);
      this.#media = [...this.#media.slice(0, offset), ...answer.media];
      this.tiles = this.#media.map(tileOfMedia);
      this.total = answer.total;
      this.known = true;
    } catch {
      // The header and the search itself report a server that does not answer.
    } finally {
      this.busy = false;
    }
  }
}

export const session = new SearchSession();
export const browse = new Browse();
