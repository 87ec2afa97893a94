import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { encodePng, hugePng, type Picture } from './png';

type Inside = (x: number, y: number) => boolean;

const SHAPES: Record<string, Inside> = {
  circle: (x, y) => Math.hypot(x, y) < 0.7,
  square: (x, y) => Math.max(Math.abs(x), Math.abs(y)) < 0.6,
  ring: (x, y) => Math.abs(Math.hypot(x, y) - 0.6) < 0.17,
  diamond: (x, y) => Math.abs(x) + Math.abs(y) < 0.8,
  cross: (x, y) => Math.min(Math.abs(x), Math.abs(y)) < 0.18 && Math.max(Math.abs(x), Math.abs(y)) < 0.75,
};
const COLOURS: Record<string, [number, number, number]> = {
  red: [200, 50, 40], green: [40, 140, 80], blue: [40, 90, 190], yellow: [225, 180, 40],
  purple: [120, 60, 160], orange: [225, 120, 40],
};
const SIZES: [number, number][] = [[320, 240], [240, 320], [300, 300], [420, 240]];

function draw(inside: Inside, colour: [number, number, number], width: number, height: number): Picture {
  const rgba = new Uint8Array(width * height * 4);
  const half = Math.min(width, height) / 2;
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const on = inside((x - width / 2) / half, (y - height / 2) / half);
      // A faint slope keeps the ground from being one flat colour.
      const ground = 228 + Math.round((16 * y) / height);
      rgba.set(on ? [...colour, 255] : [ground, ground, ground - 6, 255], (y * width + x) * 4);
    }
  }
  return { width, height, rgba };
}

export const SAMPLE_PICTURES = Object.keys(COLOURS).length * Object.keys(SHAPES).length;
export const SAMPLE_FILES = SAMPLE_PICTURES + 2;
// The one file that cannot be read.
export const BROKEN_FILE = 'shapes/cut-off.png';

// Two seconds of silence as 8-bit sound.
export function silence(): Buffer {
  const rate = 8000;
  const data = Buffer.alloc(2 * rate, 128);
  const head = Buffer.alloc(44);
  head.write('RIFF', 0);
  head.writeUInt32LE(36 + data.length, 4);
  head.write('WAVEfmt ', 8);
  head.writeUInt32LE(16, 16);
  head.writeUInt16LE(1, 20);
  head.writeUInt16LE(1, 22);
  head.writeUInt32LE(rate, 24);
  head.writeUInt32LE(rate, 28);
  head.writeUInt16LE(1, 32);
  head.writeUInt16LE(8, 34);
  head.write('data', 36);
  head.writeUInt32LE(data.length, 40);
  return Buffer.concat([head, data]);
}

// Pictures of one shape, told apart by their names and by one pixel.
export async function writeDots(folder: string, count: number): Promise<void> {
  await mkdir(folder, { recursive: true });
  for (let index = 0; index < count; index++) {
    const picture = draw(SHAPES.circle!, COLOURS.green!, 48, 48);
    picture.rgba[0] = index;
    await writeFile(join(folder, `dot-${index}.png`), encodePng(picture));
  }
}

// Two pictures that are cut off, and one that is too large.
export async function writeFaulty(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true });
  for (const [name, shape] of [['one', SHAPES.ring!], ['two', SHAPES.cross!]] as const) {
    const whole = encodePng(draw(shape, COLOURS.red!, 64, 64));
    await writeFile(join(folder, `cut-${name}.png`), whole.subarray(0, name === 'one' ? 40 : 42));
  }
  await writeFile(join(folder, 'huge.png'), hugePng(100_000));
}

// A folder of 30 pictures named after what they show, one document and one broken picture.
export async function writeSamples(folder: string): Promise<void> {
  await mkdir(join(folder, 'shapes'), { recursive: true });
  let index = 0;
  for (const [colour, rgb] of Object.entries(COLOURS)) {
    for (const [shape, inside] of Object.entries(SHAPES)) {
      const [width, height] = SIZES[index++ % SIZES.length]!;
      const file = encodePng(draw(inside, rgb, width, height));
      await writeFile(join(folder, 'shapes', `${colour}-${shape}.png`), file);
    }
  }
  const whole = encodePng(draw(SHAPES.ring!, COLOURS.blue!, 64, 64));
  await writeFile(join(folder, BROKEN_FILE), whole.subarray(0, 40));
  await writeFile(join(folder, 'lighthouse.md'),
    '# The lighthouse\n\nThe keeper of the lighthouse wrote down every passing ship.\n');
}
