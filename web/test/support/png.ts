import { deflateSync, inflateSync } from 'node:zlib';

// Pictures as PNG, just enough for samples and for telling them apart: 8 bits a channel.

export interface Picture {
  width: number;
  height: number;
  rgba: Uint8Array;
}

const SIGNATURE = Buffer.from([137, 80, 78, 71, 13, 10, 26, 10]);
const PIXELS_MAX = 250_000_000;
const CHANNELS: Record<number, number> = { 0: 1, 2: 3, 3: 1, 4: 2, 6: 4 };

const CRC = Int32Array.from({ length: 256 }, (_, n) => {
  let c = n;
  for (let k = 0; k < 8; k++) c = c & 1 ? 0xedb88320 ^ (c >>> 1) : c >>> 1;
  return c;
});

function crc32(bytes: Buffer): number {
  let crc = -1;
  for (const byte of bytes) crc = CRC[(crc ^ byte) & 255]! ^ (crc >>> 8);
  return ~crc >>> 0;
}

function chunk(type: string, data: Buffer): Buffer {
  const body = Buffer.concat([Buffer.from(type, 'latin1'), data]);
  const out = Buffer.alloc(body.length + 8);
  out.writeUInt32BE(data.length, 0);
  body.copy(out, 4);
  out.writeUInt32BE(crc32(body), body.length + 4);
  return out;
}

function encode(width: number, height: number, rows: Buffer): Buffer {
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set([8, 6, 0, 0, 0], 8);
  const chunks = [chunk('IHDR', header), chunk('IDAT', deflateSync(rows)), chunk('IEND', Buffer.alloc(0))];
  return Buffer.concat([SIGNATURE, ...chunks]);
}

// A picture that says that it is so large, and holds next to nothing.
export function hugePng(side: number): Buffer {
  return encode(side, side, Buffer.alloc(64));
}

export function encodePng({ width, height, rgba }: Picture): Buffer {
  const rows = Buffer.alloc(height * (width * 4 + 1));
  for (let y = 0; y < height; y++) {
    rows.set(rgba.subarray(y * width * 4, (y + 1) * width * 4), y * (width * 4 + 1) + 1);
  }
  return encode(width, height, rows);
}

function paeth(a: number, b: number, c: number): number {
  const p = a + b - c;
  const [pa, pb, pc] = [Math.abs(p - a), Math.abs(p - b), Math.abs(p - c)];
  return pa <= pb && pa <= pc ? a : pb <= pc ? b : c;
}

function unfilter(raw: Buffer, height: number, stride: number, step: number): Uint8Array {
  const out = new Uint8Array(height * stride);
  for (let y = 0; y < height; y++) {
    const filter = raw[y * (stride + 1)];
    for (let x = 0; x < stride; x++) {
      const at = y * stride + x;
      const left = x >= step ? out[at - step]! : 0;
      const up = y > 0 ? out[at - stride]! : 0;
      const corner = x >= step && y > 0 ? out[at - stride - step]! : 0;
      const guess = [0, left, up, (left + up) >> 1, paeth(left, up, corner)][filter ?? 0] ?? 0;
      out[at] = raw[y * (stride + 1) + 1 + x]! + guess;
    }
  }
  return out;
}

// Throws an Error that says what is wrong when the bytes are not such a picture.
export function decodePng(bytes: Buffer): Picture {
  if (!bytes.subarray(0, 8).equals(SIGNATURE)) throw new Error('not a PNG picture');
  const parts: Buffer[] = [];
  let header: Buffer | undefined;
  let palette: Buffer = Buffer.alloc(0);
  let alphas: Buffer = Buffer.alloc(0);
  for (let at = 8; at + 8 <= bytes.length;) {
    const length = bytes.readUInt32BE(at);
    const type = bytes.toString('latin1', at + 4, at + 8);
    const data = bytes.subarray(at + 8, at + 8 + length);
    if (type === 'IHDR') header = data;
    else if (type === 'PLTE') palette = data;
    else if (type === 'tRNS') alphas = data;
    else if (type === 'IDAT') parts.push(data);
    at += length + 12;
  }
  if (!header || parts.length === 0) throw new Error('the picture is cut off');
  const [width, height] = [header.readUInt32BE(0), header.readUInt32BE(4)];
  if (width * height > PIXELS_MAX) throw new Error('too large');
  const [depth, colour, interlace] = [header[8], header[9]!, header[12]];
  const channels = CHANNELS[colour];
  if (depth !== 8 || interlace !== 0 || !channels) throw new Error('a kind of PNG not known here');
  const raw = inflateSync(Buffer.concat(parts));
  const flat = unfilter(raw, height, width * channels, channels);
  return { width, height, rgba: toRgba(flat, colour, channels, palette, alphas) };
}

function toRgba(
  flat: Uint8Array, colour: number, channels: number, palette: Buffer, alphas: Buffer,
): Uint8Array {
  const count = flat.length / channels;
  const rgba = new Uint8Array(count * 4);
  for (let i = 0; i < count; i++) {
    const [a, b, c, d] = flat.subarray(i * channels, i * channels + channels);
    const pixel = colour === 3
      ? [...palette.subarray(a! * 3, a! * 3 + 3), alphas[a!] ?? 255]
      : colour === 0 ? [a!, a!, a!, 255]
      : colour === 4 ? [a!, a!, a!, b!]
      : [a!, b!, c!, d ?? 255];
    rgba.set(pixel, i * 4);
  }
  return rgba;
}

// How much of the picture each of 64 colours takes, transparent parts left out; unit length.
export function colours({ rgba }: Picture): Float32Array {
  const shares = new Float32Array(64);
  for (let i = 0; i < rgba.length; i += 4) {
    if (rgba[i + 3]! < 128) continue;
    const bin = (rgba[i]! >> 6) * 16 + (rgba[i + 1]! >> 6) * 4 + (rgba[i + 2]! >> 6);
    shares[bin] = shares[bin]! + 1;
  }
  const length = Math.hypot(...shares) || 1;
  return shares.map((share) => share / length);
}
