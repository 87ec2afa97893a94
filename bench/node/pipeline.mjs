// The pipeline that one would write in Node.js: for each picture a thumbnail and an embedding, some
// at a time, with the same model file as msearch.
//   node pipeline.mjs CLASSIFIER.onnx FOLDER [AT_ONCE, 4] [--decode-once]
// Each picture is decoded for the thumbnail and again for the model, as is natural with sharp;
// --decode-once makes the model's input from the thumbnail's pixels instead. Nothing is stored, no
// EXIF is kept, nothing survives a crash. Prints a line of JSON.
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import * as ort from 'onnxruntime-node';
import sharp from 'sharp';

const SIDE = 224;
const THUMBNAIL_SIDE = 320;
const WHITE = { r: 255, g: 255, b: 255 };

const flags = process.argv.slice(2).filter((word) => word.startsWith('--'));
const [model, folder, atOnce = '4'] = process.argv.slice(2).filter((word) => !word.startsWith('--'));
if (!folder || flags.some((flag) => flag !== '--decode-once')) {
  console.error('usage: node pipeline.mjs CLASSIFIER.onnx FOLDER [AT_ONCE] [--decode-once]');
  process.exit(2);
}
const decodeOnce = flags.includes('--decode-once');

const toInput = (picture) =>
  picture
    .resize(SIDE, SIDE, { fit: 'contain', background: WHITE })
    .flatten({ background: WHITE })
    .toColourspace('srgb')
    .raw()
    .toBuffer();
const toThumbnail = (picture) =>
  picture.resize(THUMBNAIL_SIDE, THUMBNAIL_SIDE, { fit: 'inside', withoutEnlargement: true });

async function prepare(path) {
  if (!decodeOnce) {
    return Promise.all([toThumbnail(sharp(path).rotate()).jpeg().toBuffer(), toInput(sharp(path).rotate())]);
  }
  const { data, info } = await toThumbnail(sharp(path).rotate()).raw().toBuffer({ resolveWithObject: true });
  const raw = { raw: { width: info.width, height: info.height, channels: info.channels } };
  return Promise.all([sharp(data, raw).jpeg().toBuffer(), toInput(sharp(data, raw))]);
}

function normalised(values) {
  let squares = 0;
  for (const value of values) squares += value * value;
  const scale = 1 / Math.max(Math.sqrt(squares), 1e-12);
  return values.map((value) => value * scale);
}

async function index(session, path) {
  const [thumbnail, pixels] = await prepare(path);
  const image = new ort.Tensor('uint8', pixels, [1, SIDE, SIDE, 3]);
  const { probabilities, features } = await session.run({ image });
  return { path, thumbnail, labels: probabilities.data, visual: normalised(features.data) };
}

const session = await ort.InferenceSession.create(model);
const files = readdirSync(folder)
  .filter((name) => /\.jpe?g$/i.test(name))
  .sort()
  .map((name) => join(folder, name));
const begin = process.hrtime.bigint();
const processorBegin = process.cpuUsage();
let next = 0;
let thumbnailBytes = 0;
async function worker() {
  while (next < files.length) {
    const done = await index(session, files[next++]);
    thumbnailBytes += done.thumbnail.length;
    if (done.labels.length !== 1000 || done.visual.length !== 1280) throw new Error(`${done.path}: wrong sizes`);
  }
}
await Promise.all(Array.from({ length: Number(atOnce) }, worker));
const seconds = Number(process.hrtime.bigint() - begin) / 1e9;
const used = process.cpuUsage(processorBegin);
console.log(
  JSON.stringify({
    pictures: files.length,
    seconds,
    pictures_per_second: files.length / seconds,
    processor_seconds: (used.user + used.system) / 1e6,
    thumbnail_bytes: thumbnailBytes,
    decode_once: decodeOnce,
  }),
);
