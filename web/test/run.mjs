// Runs a TypeScript program of this folder: `node test/run.mjs test/main.ts [ARGUMENTS]`. Node 18
// knows no TypeScript, so the program is bundled first, beside the packages that it imports.
import { build } from 'esbuild';
import { mkdir } from 'node:fs/promises';
import { basename, dirname, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const web = dirname(dirname(fileURLToPath(import.meta.url)));
const [entry] = process.argv.splice(2, 1);
const folder = resolve(web, 'node_modules/.cache/msearch');
const outfile = resolve(folder, `${basename(entry, '.ts')}-${process.pid}.mjs`);
await mkdir(folder, { recursive: true });
await build({
  entryPoints: [resolve(entry)], outfile, bundle: true, platform: 'node', format: 'esm',
  target: 'node18', packages: 'external', sourcemap: 'inline', logLevel: 'warning',
});
await import(pathToFileURL(outfile).href);
