import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { build } from 'vite';
import { writeSamples } from './samples';
import { DevServer } from './server';

// `npm run dev [-- --port 5199] [FOLDER...]`: builds the page, builds it again whenever it changes,
// and serves it over the given folders, or over generated pictures.
const words = process.argv.slice(2);
const at = words.indexOf('--port');
const port = at < 0 ? 5199 : Number(words.splice(at, 2)[1]);

await build({ build: { watch: {}, minify: false }, logLevel: 'warn' });
if (words.length === 0) {
  const samples = await mkdtemp(join(tmpdir(), 'msearch-samples-'));
  await writeSamples(samples);
  words.push(samples);
}
const server = new DevServer({ dist: 'dist', port, filesPerSecond: 40, extensions: ['.png', '.md'] });
console.log(`ready ${await server.start()}`);
for (const folder of words) await server.library.add(folder, basename(folder));
