// Pictures and sounds that the user searches with, held in memory under a short key that the history keeps.
// After a reload they are gone and the search goes on with its words.

export interface QueryPicture {
  blob: Blob;
  url: string;
  // As the server calls it. Of a film its sound is meant.
  kind: 'image' | 'audio';
}

const held = new Map<string, QueryPicture>();
let last = 0;

export function holdPicture(blob: Blob): string {
  const key = `picture-${++last}-${Date.now()}`;
  const kind = /^(audio|video)\//.test(blob.type) ? 'audio' : 'image';
  held.set(key, { blob, url: URL.createObjectURL(blob), kind });
  return key;
}

export function heldPicture(key: string): QueryPicture | undefined {
  return held.get(key);
}

// The first picture or sound in what was dropped, pasted or picked.
export function pictureIn(files: FileList | null | undefined): File | undefined {
  return Array.from(files ?? []).find((file) => /^(image|audio|video)\//.test(file.type));
}
