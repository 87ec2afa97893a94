import { equal, test, until } from './support/harness';
import { first, names } from './search';
import type { Target } from './support/target';

export function declareDetailTests({ url }: Target): void {
  test('DetailsTellWhatIsKnownOfAPicture', async ({ page }) => {
    await page.goto(`${url}/?q=red+circle`);
    await first(page, 'red-circle.png');
    await page.locator('.grid a').first().click();
    const dialog = page.locator('dialog[open]');
    await until('its dimensions', () => dialog.getByText('320 × 240').isVisible());
    await until('its path', () => dialog.getByText('shapes/red-circle.png').isVisible());
    await until('its root', () => dialog.locator('.paths b').getByText('samples').isVisible());
    await until('the reason', async () => (await dialog.locator('.reasons li').count()) > 0);
    await until('the picture itself', () =>
      dialog.locator('.frame img').evaluate((img: HTMLImageElement) => img.naturalWidth === 320));
    await dialog.getByRole('button', { name: 'Copy the path' }).click();
    await until('the path is copied', async () => (await dialog.locator('.copied').count()) === 1);
    const download = dialog.getByRole('link', { name: 'Download' });
    await equal('the name to save as', () => download.getAttribute('download'), 'red-circle.png');
  });

  test('ArrowsWalkThroughTheHits', async ({ page }) => {
    await page.goto(`${url}/?q=blue`);
    await until('hits', async () => (await names(page)).length > 2);
    const [one, two] = await names(page);
    await page.locator('.grid a').first().click();
    const title = page.locator('dialog[open] h2');
    await equal('the first', () => title.textContent(), one!);
    await page.keyboard.press('ArrowRight');
    await equal('the second', () => title.textContent(), two!);
    await page.getByRole('button', { name: 'Previous' }).click();
    await equal('the first again', () => title.textContent(), one!);
    await page.goBack();
    await until('back leads to the hits', async () =>
      (await page.locator('dialog[open]').count()) === 0 && page.url().includes('q=blue'));
  });

  test('ADocumentIsShownAsText', async ({ page }) => {
    await page.goto(`${url}/?q=lighthouse`);
    await first(page, 'lighthouse.md');
    await page.locator('.grid a').first().click();
    await until('its words', () => page.locator('dialog[open] pre').getByText('every passing ship').isVisible());
  });

  test('SimilarPicturesAreOneStepFromTheDetails', async ({ page }) => {
    await page.goto(`${url}/?q=green+cross`);
    await first(page, 'green-cross.png');
    await page.locator('.grid a').first().click();
    await page.locator('dialog[open]').getByRole('button', { name: 'Find similar' }).click();
    await until('a search by that picture', async () =>
      /[?&]like=/.test(page.url()) && (await page.locator('.chip img').isVisible()));
    await until('hits', async () => (await names(page)).length > 0);
  });

  test('DetailsOfAnAddressOpenWithoutASearch', async ({ page }) => {
    await page.goto(`${url}/?q=red+ring`);
    await first(page, 'red-ring.png');
    await page.locator('.grid a').first().click();
    await until('the address names it', () => page.url().includes('media='));
    const media = new URL(page.url()).searchParams.get('media')!;
    await page.goto(`${url}/?media=${encodeURIComponent(media)}`);
    await until('its details', () => page.locator('dialog[open]').getByText('shapes/red-ring.png').isVisible());
    await page.getByRole('button', { name: 'Close' }).click();
    await until('they are closed', async () => (await page.locator('dialog[open]').count()) === 0);
  });
}
