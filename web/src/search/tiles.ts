import type { Hit, Id, Media } from '../api/types';
import { idToText } from '../route.svelte';

// One media file in the grid: its best hit, with its further moments behind it.
export interface Tile {
  key: string;
  id: Id;
  type: string;
  path: string;
  thumbnail?: string;
  aspect?: number;
  weak: boolean;
  // Of the library alone a tile has neither.
  best?: Hit;
  moments: Hit[];
}

export function fileName(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1) || path;
}

function aspectOf(width?: number, height?: number): number | undefined {
  return width && height ? width / height : undefined;
}

// Hits of one media file stand together in the answer, but not necessarily in one page of it.
export function tilesOf(hits: Hit[]): Tile[] {
  const tiles = new Map<string, Tile>();
  for (const hit of hits) {
    const key = idToText(hit.media_id);
    const tile = tiles.get(key);
    if (!tile) tiles.set(key, tileOfHit(hit, key));
    else addMoment(tile, hit);
  }
  return [...tiles.values()];
}

function tileOfHit(hit: Hit, key: string): Tile {
  return {
    key, id: hit.media_id, type: hit.type, path: hit.path, thumbnail: hit.thumbnail ?? undefined,
    aspect: aspectOf(hit.width, hit.height), weak: hit.strength === 'weak', best: hit,
    moments: [hit],
  };
}

function addMoment(tile: Tile, hit: Hit): void {
  tile.moments.push(hit);
  if (hit.strength !== 'weak') tile.weak = false;
  if (hit.score <= (tile.best?.score ?? 0)) return;
  tile.best = hit;
  tile.thumbnail = hit.thumbnail ?? tile.thumbnail;
}

export function tileOfMedia(media: Media): Tile {
  return {
    key: idToText(media.media_id), id: media.media_id, type: media.type,
    path: media.paths[0]?.path ?? '', thumbnail: media.thumbnail ?? undefined,
    aspect: aspectOf(media.width, media.height), weak: false, moments: [],
  };
}
