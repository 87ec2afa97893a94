import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { equal, test, until } from './support/harness';
import type { Target } from './support/target';

export const BOX = 'input[name=q]';

export function names(page: Page): Promise<string[]> {
  return page.locator('.grid .name').allTextContents();
}

export async function first(page: Page, name: string): Promise<void> {
  await equal('the first hit', async () => (await names(page))[0], name);
}

async function asBase64(target: Target, name: string): Promise<string> {
  return (await readFile(join(target.folder, 'samples/shapes', name))).toString('base64');
}

// Hands a picture to the page as a drop or a paste would.
async function hand(page: Page, kind: 'drop' | 'paste', base64: string): Promise<void> {
  await page.evaluate(([how, text]) => {
    const bytes = Uint8Array.from(atob(text!), (c) => c.charCodeAt(0));
    const data = new DataTransfer();
    data.items.add(new File([bytes], 'query.png', { type: 'image/png' }));
    const event = how === 'drop'
      ? new DragEvent('drop', { dataTransfer: data, bubbles: true, cancelable: true })
      : new ClipboardEvent('paste', { clipboardData: data, bubbles: true, cancelable: true });
    document.body.dispatchEvent(event);
  }, [kind, base64]);
}

export function declareSearchTests(target: Target): void {
  const { url } = target;

  test('WordsFindTheFileNamedSo', async ({ page }) => {
    await page.goto(url);
    await page.fill(BOX, 'red circle');
    await page.keyboard.press('Enter');
    await first(page, 'red-circle.png');
    await until('the query is in the address', () => page.url().includes('q=red+circle'));
    await until('the title says it', async () => (await page.title()).startsWith('red circle'));
  });

  test('TheAddressAloneBringsTheSearchBack', async ({ page }) => {
    await page.goto(`${url}/?q=blue+square`);
    await first(page, 'blue-square.png');
    await page.fill(BOX, 'green ring');
    await page.keyboard.press('Enter');
    await first(page, 'green-ring.png');
    await page.goBack();
    await first(page, 'blue-square.png');
    await equal('the box', () => page.inputValue(BOX), 'blue square');
    await page.goForward();
    await first(page, 'green-ring.png');
  });

  test('ADroppedPictureFindsItself', async ({ page }) => {
    await page.goto(url);
    await hand(page, 'drop', await asBase64(target, 'yellow-cross.png'));
    await first(page, 'yellow-cross.png');
    await until('its thumbnail stands in the box', () => page.locator('.chip img').isVisible());
  });

  test('APastedPictureFindsItself', async ({ page }) => {
    await page.goto(url);
    await hand(page, 'paste', await asBase64(target, 'purple-diamond.png'));
    await first(page, 'purple-diamond.png');
  });

  test('APickedPictureGoesTogetherWithWords', async ({ page }) => {
    await page.goto(url);
    await page.setInputFiles('input[type=file]', join(target.folder, 'samples/shapes/orange-ring.png'));
    await first(page, 'orange-ring.png');
    await page.fill(BOX, 'orange');
    await page.keyboard.press('Enter');
    await until('picture and words are both asked for', async () =>
      page.url().includes('q=orange') && (await page.locator('.chip img').isVisible()));
    await first(page, 'orange-ring.png');
    await page.locator('.chip button').click();
    await until('the words remain alone', async () => (await page.locator('.chip').count()) === 0);
    await until('hits of the words', async () => (await names(page))[0]?.startsWith('orange') ?? false);
  });

  test('AFileThatIsNoPictureIsRefusedAtTheDrop', async ({ page }) => {
    await page.goto(url);
    await page.evaluate(() => {
      const data = new DataTransfer();
      data.items.add(new File(['words'], 'a.txt', { type: 'text/plain' }));
      document.body.dispatchEvent(new DragEvent('drop', { dataTransfer: data, bubbles: true, cancelable: true }));
    });
    await until('the page says so', () => page.getByText('That is neither a picture nor a sound.').isVisible());
  });

  test('AHitLeadsToWhatIsLikeIt', async ({ page }) => {
    await page.goto(`${url}/?q=red+circle`);
    await first(page, 'red-circle.png');
    await page.locator('.grid li').first().hover();
    await page.locator('.grid li .like').first().click();
    await until('the address names the picture', () => /[?&]like=/.test(page.url()));
    await until('others are found', async () =>
      (await names(page)).length > 0 && !(await names(page)).includes('red-circle.png'));
  });

  test('FiltersNarrowAndStandInTheAddress', async ({ page }) => {
    await page.goto(`${url}/?q=lighthouse`);
    await first(page, 'lighthouse.md');
    await page.getByRole('button', { name: 'Filters' }).click();
    await page.getByRole('button', { name: 'Pictures' }).click();
    await until('no document is left', async () =>
      page.url().includes('type=image') && (await page.locator('.results[aria-busy=false]').count()) === 1 &&
      !(await names(page)).includes('lighthouse.md'));
    await page.getByRole('button', { name: 'Clear filters' }).click();
    await first(page, 'lighthouse.md');
    await page.selectOption('.filters select', 'samples');
    await until('the root is in the address', () => page.url().includes('root=samples'));
    await first(page, 'lighthouse.md');
    await page.fill('.filters input[name=min]', '1000');
    await page.keyboard.press('Enter');
    await until('nothing is that large', () => page.getByText('Nothing in your library fits').isVisible());
  });

  test('WhatFitsNothingIsSaidPlainly', async ({ page }) => {
    await page.goto(`${url}/?q=circle&path=no-such-folder%2F`);
    await until('the page says so', () =>
      page.getByText('Nothing in your library fits “circle”').isVisible());
    await equal('hits', () => names(page), []);
  });

  test('TheLibraryIsShownBeforeAnySearch', async ({ page }) => {
    await page.goto(url);
    await until('its pictures', async () => (await names(page)).length > 20);
    await page.locator('.examples button').first().click();
    await until('an example is searched for', () => /[?&]q=/.test(page.url()));
  });

  test('KeysAloneAreEnough', async ({ page }) => {
    await page.goto(`${url}/?q=red`);
    await until('hits', async () => (await names(page)).length > 3);
    await page.keyboard.press('/');
    await equal('the box has the focus', () => page.evaluate(() => document.activeElement?.getAttribute('name')), 'q');
    await page.keyboard.press('ArrowDown');
    const focused = (): Promise<string | null> =>
      page.evaluate(() => document.activeElement?.getAttribute('aria-label') ?? null);
    const [one, two] = await names(page);
    await equal('the first hit has the focus', focused, one!);
    await page.keyboard.press('ArrowRight');
    await equal('the second hit has the focus', focused, two!);
    await page.keyboard.press('Enter');
    await until('its details are open', () => page.getByRole('heading', { name: two! }).isVisible());
    await page.keyboard.press('Escape');
    await until('they are closed', async () => (await page.locator('dialog[open]').count()) === 0);
    await equal('the hit has the focus again', focused, two!);
    await until('the address forgot it', () => !page.url().includes('media='));
  });
}
