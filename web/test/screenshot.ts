import { mkdir, stat } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { test, until } from './support/harness';
import { addRoot, type Target } from './support/target';
import { names } from './search';

// With MSEARCH_SCREENSHOT=FILE the picture for the README, over MSEARCH_SCREENSHOT_FOLDER (the
// sample library's animals where they are installed) and MSEARCH_SCREENSHOT_QUERY.
export function declareScreenshot({ url }: Target): void {
  const file = process.env.MSEARCH_SCREENSHOT;
  if (!file) return;
  const folder = process.env.MSEARCH_SCREENSHOT_FOLDER ?? '/usr/share/tuxpaint/stamps/animals';
  const words = process.env.MSEARCH_SCREENSHOT_QUERY ?? 'bird';

  test('TheScreenshotIsMade', async ({ page }) => {
    // Pictures alone: the descriptions beside them would be found by their words.
    if (await stat(folder).catch(() => undefined)) {
      await addRoot(url, folder, 'animals', 1, { exclude: ['*.txt'] });
    }
    await page.goto(`${url}/?q=${encodeURIComponent(words)}`);
    await until('hits', async () => (await names(page)).length > 0);
    await until('their pictures', () => page.evaluate(() =>
      [...document.querySelectorAll<HTMLImageElement>('.grid img')]
        .filter((img) => img.getBoundingClientRect().top < innerHeight)
        .every((img) => img.complete && img.naturalWidth > 0 && getComputedStyle(img).opacity === '1')));
    await mkdir(dirname(resolve(file)), { recursive: true });
    await page.screenshot({ path: resolve(file) });
  }, { viewport: { width: 1280, height: 800 }, colorScheme: 'light' });
}
