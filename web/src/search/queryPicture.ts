// Pictures that the user searches with, held in memory under a short key that the history keeps.
// After a reload they are gone and the search goes on with its words.

export interface QueryPicture {
  blob: Blob;
  url: string;
}

const held = new Map<string, QueryPicture>();
let last = 0;

export function holdPicture(blob: Blob): string {
  const key = `picture-${++last}-${Date.now()}`;
  held.set(key, { blob, url: URL.createObjectURL(blob) });
  return key;
}

export function heldPicture(key: string): QueryPicture | undefined {
  return held.get(key);
}

// The first picture in what was dropped, pasted or picked.
export function pictureIn(files: FileList | null | undefined): File | undefined {
  return Array.from(files ?? []).find((file) => file.type.startsWith('image/'));
}
