import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { first, names } from './search';
import { test, until } from './support/harness';
import { addRoot, newFolder, type Target } from './support/target';

function ffmpeg(...argv: string[]): void {
  execFileSync('ffmpeg', ['-nostdin', '-v', 'error', '-y', ...argv]);
}

const SCENES =
  'smptebars=s=320x180:r=25:d=4[a];testsrc2=s=320x180:r=25:d=5[b];color=c=darkgreen:s=320x180:r=25:d=4[c];' +
  '[a][b][c]concat=n=3[v]';
const TUNE =
  'aevalsrc=0.4*sin(2*PI*t*(300+90*mod(floor(t*2)*7\\,11)))+0.2*sin(2*PI*t*(500+70*mod(floor(t*3)*5\\,9))):s=16000:d=13';

// A film with three scenes and a tune, and the same as Windows Media, which no browser plays.
async function addFilms(url: string): Promise<string> {
  const folder = join(await newFolder(), 'films');
  mkdirSync(folder);
  const film = join(folder, 'harbour.webm');
  ffmpeg('-filter_complex', SCENES, '-f', 'lavfi', '-i', TUNE, '-map', '[v]', '-map', '0:a',
    '-c:v', 'libvpx', '-deadline', 'good', '-cpu-used', '5', '-g', '25', '-c:a', 'libopus', film);
  ffmpeg('-i', film, '-c:v', 'wmv2', '-c:a', 'wmav2', join(folder, 'foreign.wmv'));
  ffmpeg('-ss', '3', '-t', '9', '-i', film, '-vn', join(folder, '..', 'excerpt.mp3'));
  await addRoot(url, folder, 'films', 2);
  return folder;
}

function playing(page: Page): Promise<{ at: number; length: number; source: string } | undefined> {
  return page.evaluate(() => {
    const video = document.querySelector('video');
    if (!video || video.readyState < 1) return undefined;
    return { at: video.currentTime, length: video.duration, source: video.src };
  });
}

// Against the real program only: the development server decodes no film.
export function declareFilmTests(target: Target): void {
  if (!target.real) return;
  const { url } = target;
  let made: Promise<string> | undefined;
  const films = (): Promise<string> => (made ??= addFilms(url));

  test('AFilmPlaysAtTheMomentClickedInItsStrip', async ({ page }) => {
    await films();
    await page.goto(`${url}/?q=harbour`);
    await first(page, 'harbour.webm');
    await page.locator('.grid a').first().click();
    await until('the film is there', async () => ((await playing(page))?.length ?? 0) > 10);
    const frames = page.getByRole('list', { name: 'Film strip' }).getByRole('button');
    await until('its strip', async () => (await frames.count()) >= 3);
    const last = frames.last();
    const [minutes, seconds] = ((await last.getAttribute('aria-label')) ?? '').split(':').map(Number);
    await last.click();
    await until('it goes there', async () =>
      Math.abs(((await playing(page))?.at ?? -9) - (minutes! * 60 + seconds!)) < 1.1);
  });

  test('AFilmThatBrowsersDoNotPlayIsMadePlayable', async ({ page }) => {
    await films();
    await page.goto(`${url}/?q=foreign`);
    await first(page, 'foreign.wmv');
    await page.locator('.grid a').first().click();
    await until('a clip is there', async () => /\/clip\?/.test((await playing(page))?.source ?? ''));
    await until('its length', async () => Math.abs(((await playing(page))?.length ?? 0) - 13) < 1);
    await page.evaluate(() => {
      const video = document.querySelector('video')!;
      video.muted = true;
      return video.play();
    });
    await until('it plays', async () => ((await playing(page))?.at ?? 0) > 1);
  });

  test('AClipCanBeSoughtInOnceItIsMade', async ({ page }) => {
    const folder = join(await newFolder(), 'long');
    mkdirSync(folder);
    // Noise in this size takes more than a second to encode anew.
    ffmpeg('-f', 'lavfi', '-i', 'testsrc2=s=1280x720:r=30:d=25,noise=alls=20:allf=t', '-c:v', 'wmv2',
      '-b:v', '8M', join(folder, 'lasting.wmv'));
    await addRoot(url, folder, 'long', 1);
    await page.goto(`${url}/?q=lasting`);
    await first(page, 'lasting.wmv');
    await page.locator('.grid a').first().click();
    await until('a clip is there', async () => /\/clip\?/.test((await playing(page))?.source ?? ''));
    const seekable = (): Promise<number> => page.evaluate(() => {
      const video = document.querySelector('video');
      return video && video.seekable.length > 0 ? video.seekable.end(0) : 0;
    });
    // It is made in the meantime, beside whatever else the machine does.
    await until('all of it can be reached', async () => (await seekable()) > 20, 120_000);
    await page.evaluate(() => {
      document.querySelector('video')!.currentTime = 18;
    });
    await until('it goes there', async () =>
      Math.abs(((await playing(page))?.at ?? 0) - 18) < 1 &&
      page.evaluate(() => document.querySelector('video')!.readyState >= 2));
  });

  test('ADroppedSoundFindsItsRecordingWithItsMoment', async ({ page }) => {
    const folder = await films();
    await page.goto(url);
    const base64 = readFileSync(join(folder, '..', 'excerpt.mp3')).toString('base64');
    await page.evaluate((text) => {
      const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
      const data = new DataTransfer();
      data.items.add(new File([bytes], 'excerpt.mp3', { type: 'audio/mpeg' }));
      document.body.dispatchEvent(
        new DragEvent('drop', { dataTransfer: data, bubbles: true, cancelable: true }));
    }, base64);
    await until('both films', async () => (await names(page)).length >= 2);
    await until('the reason', () => page.getByText('The same recording').first().isVisible());
    await until('the moment', async () =>
      /^0:0[23]$/.test((await page.locator('.badge').first().textContent()) ?? ''));
  });
}
