import { createHash } from 'node:crypto';
import { EventEmitter } from 'node:events';
import { readFile, readdir, stat } from 'node:fs/promises';
import { basename, extname, join, relative } from 'node:path';
import type { Failure, Filters, Hit, Media, Root } from '../../src/api/types';
import { colours, decodePng } from './png';

const TYPES: Record<string, string> = {
  '.png': 'image', '.svg': 'image', '.jpg': 'image', '.txt': 'document', '.md': 'document',
  '.wav': 'audio',
};
const MIMES: Record<string, string> = {
  '.png': 'image/png', '.svg': 'image/svg+xml', '.jpg': 'image/jpeg', '.txt': 'text/plain',
  '.md': 'text/markdown', '.wav': 'audio/wav',
};
const STRONG = 0.55;
// Sounds are found at a moment rather than as a whole.
const SOUND_MOMENT = 1.5;

interface Item {
  media: Media;
  file: string;
  words: string[];
  signature?: Float32Array;
}

interface Folder {
  root: Root;
  waiting: string[];
  items: Map<string, Item>;
  failures: Map<string, Failure>;
}

export interface Ranked {
  hits: Hit[];
  total: number;
  nothing_fits: boolean;
}

function wordsOf(text: string): string[] {
  return text.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? [];
}

// The development server's library: reads real folders at a set pace, finds by the words of names
// and of descriptions lying beside the pictures, and by the colours of PNG pictures. Emits 'change'.
export class Library extends EventEmitter {
  readonly folders = new Map<string, Folder>();
  readonly items = new Map<number, Item>();
  #byHash = new Map<string, Item>();
  #timer: NodeJS.Timeout;
  #busy = false;

  constructor(readonly filesPerSecond: number, readonly extensions = new Set(Object.keys(TYPES))) {
    super();
    this.#timer = setInterval(() => void this.#work(), 100);
  }

  close(): void {
    clearInterval(this.#timer);
  }

  async add(path: string, name: string): Promise<Root> {
    const root: Root = {
      name, path, state: 'scanning', watch: 'inotify', origin: 'api', paused: false,
      counts: { files: 0, indexed: 0, pending: 0, failed: 0 }, speed_files_s: 0,
    };
    const folder: Folder = { root, waiting: [], items: new Map(), failures: new Map() };
    this.folders.set(name, folder);
    await this.scan(name);
    return root;
  }

  async scan(name: string): Promise<void> {
    const folder = this.folders.get(name);
    if (!folder) return;
    for (const file of await this.#filesBelow(folder.root.path)) {
      const known = folder.items.has(file) || folder.failures.has(file);
      if (!known && !folder.waiting.includes(file)) folder.waiting.push(file);
    }
    folder.root.last_scan_at = new Date().toISOString();
    this.#count(folder);
  }

  remove(name: string): boolean {
    const folder = this.folders.get(name);
    for (const item of folder?.items.values() ?? []) {
      item.media.paths = item.media.paths.filter((place) => place.root !== name);
      if (item.media.paths.length > 0) continue;
      this.items.delete(item.media.media_id as number);
      for (const [hash, other] of this.#byHash) if (other === item) this.#byHash.delete(hash);
    }
    this.emit('change');
    return this.folders.delete(name);
  }

  pause(name: string, paused: boolean): void {
    const folder = this.folders.get(name);
    if (!folder) return;
    folder.root.paused = paused;
    this.#count(folder);
  }

  retry(name?: string, code?: string): number {
    let count = 0;
    for (const folder of this.folders.values()) {
      if (name && folder.root.name !== name) continue;
      const again = [...folder.failures].filter(([, failure]) => !code || failure.code === code);
      count += again.length;
      folder.waiting.push(...again.map(([file]) => file));
      this.#count(folder);
    }
    return count;
  }

  search(query: string, picture: Float32Array | undefined, like: number | undefined, filters: Filters): Ranked {
    const words = wordsOf(query);
    const signature = picture ?? (like === undefined ? undefined : this.items.get(like)?.signature);
    const hits: Hit[] = [];
    for (const item of this.items.values()) {
      if (item.media.media_id === like || !passes(item.media, filters)) continue;
      const hit = rank(item, words, signature);
      if (hit.score > 0.12) hits.push(hit);
    }
    hits.sort((a, b) => b.score - a.score);
    const total = hits.filter((hit) => hit.strength === 'strong').length;
    return { hits, total, nothing_fits: total === 0 };
  }

  async #filesBelow(folder: string): Promise<string[]> {
    const found: string[] = [];
    for (const entry of await readdir(folder, { withFileTypes: true })) {
      const path = join(folder, entry.name);
      if (entry.isDirectory()) found.push(...(await this.#filesBelow(path)));
      else if (this.extensions.has(extname(entry.name))) found.push(path);
    }
    return found.sort();
  }

  async #work(): Promise<void> {
    if (this.#busy) return;
    this.#busy = true;
    const share = Math.max(1, Math.round(this.filesPerSecond / 10));
    for (const folder of this.folders.values()) {
      if (folder.root.paused || folder.waiting.length === 0) continue;
      for (const file of folder.waiting.splice(0, share)) await this.#read(folder, file);
      this.#count(folder);
    }
    this.#busy = false;
  }

  #count(folder: Folder): void {
    const { root, waiting, items, failures } = folder;
    const pending = waiting.length;
    const failed = [...failures.keys()].filter((file) => !waiting.includes(file)).length;
    root.counts = { files: items.size + failed + pending, indexed: items.size, pending, failed };
    root.state = root.paused ? 'paused' : pending > 0 ? 'scanning' : 'watching';
    root.speed_files_s = pending > 0 && !root.paused ? this.filesPerSecond : 0;
    root.eta_s = pending > 0 && !root.paused ? pending / this.filesPerSecond : undefined;
    root.current = waiting[0] && relative(root.path, waiting[0]);
    this.emit('change');
  }

  async #read(folder: Folder, file: string): Promise<void> {
    const path = relative(folder.root.path, file);
    try {
      const bytes = await readFile(file);
      const info = await stat(file);
      const place = {
        root: folder.root.name, path, size: info.size, modified_at: info.mtime.toISOString(),
      };
      const hash = createHash('sha256').update(bytes).digest('hex');
      const item = this.#byHash.get(hash) ?? (await this.#open(file, bytes));
      item.media.paths.push(place);
      this.#byHash.set(hash, item);
      this.items.set(item.media.media_id as number, item);
      folder.items.set(file, item);
      folder.failures.delete(file);
    } catch (error) {
      const attempts = (folder.failures.get(file)?.attempts ?? 0) + 1;
      folder.failures.set(file, {
        root: folder.root.name, path, attempts,
        code: (error as Error).message === 'too large' ? 'too_large' : 'corrupt',
        message: `${path}: ${(error as Error).message}`, failed_at: new Date().toISOString(),
      });
    }
  }

  async #open(file: string, bytes: Buffer): Promise<Item> {
    const ending = extname(file);
    const type = TYPES[ending] ?? 'document';
    const id = this.items.size + 1 + Math.floor(Math.random() * 1e9);
    const media: Media = {
      media_id: id, type, mime: MIMES[ending], paths: [], size: bytes.length,
      segments: [{ segment_id: `${id}-0` }],
    };
    const description = await readFile(file.replace(/\.\w+$/, '.txt'), 'utf8').catch(() => '');
    const words = [...wordsOf(basename(file, ending)), ...wordsOf(description.split('\n')[0] ?? '')];
    const item: Item = { media, file, words };
    if (ending === '.png') {
      const picture = decodePng(bytes);
      item.signature = colours(picture);
      Object.assign(media, { width: picture.width, height: picture.height });
    }
    if (type === 'image') {
      media.thumbnail = `/api/media/${id}/thumbnail`;
      media.labels = [...new Set(item.words)].filter((word) => word.length > 3).slice(0, 4)
        .map((label, index) => ({ label, probability: 0.71 / (index * 2 + 1) }));
    } else if (type === 'document') {
      media.text = bytes.toString('utf8');
      item.words.push(...wordsOf(media.text));
    }
    return item;
  }
}

function passes(media: Media, filters: Filters): boolean {
  const places = media.paths.filter((place) =>
    (!filters.root || filters.root.includes(place.root)) &&
    (!filters.path_prefix || place.path.startsWith(filters.path_prefix)) &&
    (!filters.date_from || (place.modified_at ?? '') >= filters.date_from) &&
    (!filters.date_to || (place.modified_at ?? '') < filters.date_to));
  const size = media.size ?? 0;
  return places.length > 0 && (!filters.type || filters.type.includes(media.type)) &&
    size >= (filters.size_min ?? 0) && size <= (filters.size_max ?? Infinity);
}

function rank(item: Item, words: string[], signature: Float32Array | undefined): Hit {
  const { media } = item;
  const matched = words.filter((word) => item.words.includes(word));
  const near = words.filter((word) => item.words.some((own) => own.slice(0, 3) === word.slice(0, 3)));
  const byWords = words.length === 0 ? 0 : (matched.length + 0.3 * (near.length - matched.length)) / words.length;
  const byColour = signature && item.signature
    ? item.signature.reduce((sum, share, index) => sum + share * signature[index]!, 0) : 0;
  const parts = [...(words.length > 0 ? [byWords * 0.95] : []), ...(signature ? [byColour] : [])];
  const score = parts.reduce((sum, part) => sum + part, 0) / (parts.length || 1);
  const inName = matched.some((word) => wordsOf(media.paths[0]!.path).includes(word));
  return {
    segment_id: `${media.media_id}-0`, media_id: media.media_id, type: media.type,
    root: media.paths[0]!.root, path: media.paths[0]!.path, paths: media.paths,
    score, strength: score >= STRONG ? 'strong' : 'weak', thumbnail: media.thumbnail,
    ...(media.type === 'audio' ? { start_time: SOUND_MOMENT, end_time: SOUND_MOMENT + 1 } : {}),
    reasons: [
      ...(matched.length > 0 ? [inName ? { kind: 'name', text: media.paths[0]!.path } : { kind: 'label', text: matched.join(', ') }] : []),
      ...(byColour > 0.5 ? [{ kind: 'similar', text: `${Math.round(byColour * 100)} %` }] : []),
    ],
  };
}
