import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { equal, test, until, type Opened } from './support/harness';
import { silence, writeDots, writeSamples } from './support/samples';
import type { DevServer, Options } from './support/server';
import { newFolder, startDevServer } from './support/target';
import { BOX, names } from './search';

type Body = (opened: Opened, server: DevServer, folder: string) => Promise<void>;

// A test with a development server and a folder of its own.
function withServer(name: string, options: Partial<Options>, body: Body): void {
  test(name, async (opened) => {
    const server = await startDevServer(options);
    opened.after(() => server.stop());
    const folder = await newFolder();
    opened.after(() => rm(folder, { recursive: true, force: true }));
    await body(opened, server, folder);
  });
}

async function addRead(server: DevServer, folder: string, name: string): Promise<void> {
  await server.library.add(folder, name);
  await until(`${name} is read`, () => server.library.folders.get(name)?.root.counts.pending === 0);
}

export function declareFaultTests(): void {
  withServer('AnEmptyLibrarySaysHowToFillIt', {}, async ({ page }, server) => {
    await page.goto(server.url);
    await until('the explanation', () => page.getByText('Your library is empty').isVisible());
    await page.getByRole('button', { name: 'Add a folder' }).click();
    await until('the library', () => page.getByLabel('Path of the folder').isVisible());
  });

  withServer('ALockedServerAsksForItsTokenOnce', { token: 'sesame' }, async ({ page, expectProblem }, server, folder) => {
    for (const path of ['/api/roots', '/api/events', '/api/session', '/api/media', '/api/search']) expectProblem(401, path);
    await writeSamples(folder);
    await addRead(server, folder, 'samples');
    await page.goto(`${server.url}/?q=red+circle`);
    await page.locator('input[name=token]').fill('open');
    await page.keyboard.press('Enter');
    await until('the wrong token is refused', () => page.getByText('does not accept this token').isVisible());
    await page.locator('input[name=token]').fill('sesame');
    await page.keyboard.press('Enter');
    await until('the hits', async () => (await names(page))[0] === 'red-circle.png');
    await until('their pictures', () => page.locator('.grid img').first()
      .evaluate((img: HTMLImageElement) => img.naturalWidth > 0));
    await page.reload();
    await until('the hits again', async () => (await names(page))[0] === 'red-circle.png');
    await equal('questions asked', () => page.locator('dialog[open]').count(), 0);
  });

  withServer('ThePagePollsWhenTheStreamDrops', {}, async ({ page, expectProblem }, server, folder) => {
    for (const status of [0, 503]) expectProblem(status, '/api/events');
    await page.goto(`${server.url}/?view=library`);
    await until('live', () => page.getByText('Live').isVisible());
    server.dropStreams();
    await until('the drop is shown', () => page.getByText('Reconnecting').isVisible());
    await writeDots(folder, 2);
    await server.library.add(folder, 'late');
    await until('news arrive all the same', () => page.locator('[data-root=late]').isVisible());
  });

  withServer('ProgressIsShownWhileFilesAreRead', { filesPerSecond: 10 }, async ({ page }, server, folder) => {
    await writeDots(folder, 60);
    await page.goto(`${server.url}/?view=library`);
    await server.library.add(folder, 'slow');
    const card = page.locator('[data-root=slow]');
    await until('speed and time left', async () =>
      /10 files\/s.*left/.test(((await card.textContent()) ?? '').replace(/\s+/g, ' ')));
    await until('the file being read', () => card.locator('.current').getByText('dot-').isVisible());
    await until('progress in the header', () => page.locator('header .progress').isVisible());
    await until('the end', async () => (await card.textContent())?.includes('Up to date') ?? false);
    await until('the header is quiet', async () => (await page.locator('header .progress').count()) === 0);
  });

  withServer('WeakHitsStandApart', {}, async ({ page }, server, folder) => {
    await writeSamples(folder);
    await addRead(server, folder, 'samples');
    await page.goto(`${server.url}/?q=red+circle`);
    await equal('strong hits', () => page.locator('[aria-label=Results] .name').allTextContents(), ['red-circle.png']);
    await until('weak hits', async () => (await page.locator('[aria-label="Weaker matches"] .name').count()) >= 8);
    await page.goto(`${server.url}/?q=red+unheard`);
    await until('nothing fits', () => page.getByText('Nothing in your library fits “red unheard”').isVisible());
    await until('the closest are shown', async () =>
      (await page.getByText('The closest there is').isVisible()) && (await names(page)).length === 5);
  });

  withServer('MoreHitsAreLoadedOnDemand', {}, async ({ page }, server, folder) => {
    await writeDots(folder, 60);
    await addRead(server, folder, 'dots');
    await page.goto(`${server.url}/?q=dot`);
    await equal('the first hits', async () => (await names(page)).length, 48);
    await page.getByRole('button', { name: 'Load more' }).click();
    await equal('all hits', async () => (await names(page)).length, 60);
    await equal('no button is left', () => page.getByRole('button', { name: 'Load more' }).count(), 0);
  });

  withServer('SoundStartsAtItsMoment', {}, async ({ page }, server, folder) => {
    await mkdir(folder, { recursive: true });
    await writeFile(join(folder, 'bell.wav'), silence());
    await addRead(server, folder, 'sounds');
    await page.goto(`${server.url}/?q=bell`);
    await page.locator('.grid a').first().click();
    await equal('where it stands', () =>
      page.locator('dialog[open] audio').evaluate((audio: HTMLAudioElement) => audio.currentTime), 1.5);
  });

  withServer('AServerThatWentAwayIsNoticed', {}, async ({ page, expectProblem }, server, folder) => {
    expectProblem(0, '/api/search');
    await writeSamples(folder);
    await addRead(server, folder, 'samples');
    await page.goto(`${server.url}/?q=red+circle`);
    await until('hits', async () => (await names(page))[0] === 'red-circle.png');
    await page.route('**/api/search', (route) => route.abort());
    await page.fill(BOX, 'blue ring');
    await page.keyboard.press('Enter');
    await until('the page says so', () => page.getByText('The server does not answer').isVisible());
    await page.unroute('**/api/search');
    await page.getByRole('button', { name: 'Try again' }).click();
    await until('hits', async () => (await names(page))[0] === 'blue-ring.png');
  });

  withServer('APictureThatCannotBeReadIsExplained', {}, async ({ page, expectProblem }, server, folder) => {
    expectProblem(422, '/api/search');
    await writeSamples(folder);
    await addRead(server, folder, 'samples');
    await page.goto(server.url);
    await page.setInputFiles('input[type=file]', join(folder, 'shapes/cut-off.png'));
    await until('the stable code', () => page.locator('.results').getByText('corrupt_media').isVisible());
  });
}
