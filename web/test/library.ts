import { join } from 'node:path';
import { equal, test, until } from './support/harness';
import { writeDots, writeFaulty } from './support/samples';
import { BROKEN_FILE, SAMPLE_FILES } from './support/samples';
import { addRoot, type Target } from './support/target';

export function declareLibraryTests(target: Target): void {
  const { url } = target;
  const library = `${url}/?view=library`;

  test('ARootShowsItsCountsAndFailures', async ({ page }) => {
    await page.goto(library);
    const card = page.locator('[data-root=samples]');
    await equal('searchable files', () => card.locator('.counts b').first().textContent(), String(SAMPLE_FILES - 1));
    await equal('all files', () => card.locator('.counts b').nth(1).textContent(), String(SAMPLE_FILES));
    await equal('failed files', () => card.locator('.failures b').textContent(), '1');
    await until('the broken file and a reason', async () => {
      const row = page.locator('#failures li').filter({ hasText: BROKEN_FILE });
      return ((await row.locator('.why').textContent()) ?? '').trim().length > 10;
    });
  });

  test('FailuresCanBeTriedAgain', async ({ page }) => {
    await page.goto(library);
    await page.getByRole('button', { name: 'Retry all' }).click();
    await until('it is said', () => page.getByText('They are being tried again.').isVisible());
    await equal('the broken file fails again', () =>
      page.locator('[data-root=samples] .failures b').textContent(), '1');
  });

  test('FailuresAreFilteredByClass', async ({ page, after }) => {
    const folder = join(target.folder, 'faulty');
    await writeFaulty(folder);
    await addRoot(url, folder, 'faulty', 3);
    after(async () => void (await fetch(`${url}/api/roots/faulty`, { method: 'DELETE' })));
    await page.goto(library);
    const section = page.locator('#failures');
    const classes = section.locator('select[name=class]');
    const options = async (): Promise<string[]> => (await classes.locator('option').allTextContents()).sort();
    const paths = async (): Promise<string[]> => (await section.locator('li .path').allTextContents()).sort();
    await section.locator('select').first().selectOption('faulty');
    await equal('all of the root', paths, ['cut-one.png', 'cut-two.png', 'huge.png']);
    await equal('its classes', options, ['All classes', 'damaged (2)', 'too large (1)']);
    await classes.selectOption('too_large');
    await equal('those of the class', paths, ['huge.png']);
    const [sent] = await Promise.all([
      page.waitForRequest('**/api/failures/retry'),
      section.getByRole('button', { name: 'Retry these' }).click(),
    ]);
    await equal('what is tried again', async () => sent.postDataJSON(), { root: 'faulty', code: 'too_large' });
    await equal('it fails again, and is still what is shown', paths, ['huge.png']);
    await page.getByRole('button', { name: '中文' }).click();
    await equal('its classes in Chinese', options, ['全部类别', '太大 (1)', '已损坏 (2)'].sort());
    await until('the button in Chinese', () => section.getByRole('button', { name: '重试这些' }).isVisible());
    await page.getByRole('button', { name: 'EN' }).click();
  });

  test('AWrongPathIsExplained', async ({ page, expectProblem }) => {
    for (const status of [400, 404, 409, 422]) expectProblem(status, '/api/roots');
    await page.goto(library);
    await page.fill('form.card input[name=path]', '/no/such/folder');
    await page.keyboard.press('Enter');
    const alert = page.locator('form.card [role=alert]');
    await until('the stable code of the error', async () =>
      /^[a-z][a-z0-9_.-]+$/.test((await alert.locator('code').textContent()) ?? ''));
    await until('its words', async () => ((await alert.textContent()) ?? '').includes('/no/such/folder'));
  });

  test('AFolderIsAddedPausedResumedAndRemoved', async ({ page }) => {
    const folder = join(target.folder, 'dots');
    await writeDots(folder, 3);
    await page.goto(library);
    await page.fill('form.card input[name=path]', folder);
    await page.fill('form.card input[name=name]', 'dots');
    await page.getByRole('button', { name: 'Add', exact: true }).click();
    const card = page.locator('[data-root=dots]');
    await equal('its files are searchable', () => card.locator('.counts b').first().textContent(), '3');
    await card.getByRole('button', { name: 'Pause' }).click();
    await equal('it is paused', () => card.locator('.state').textContent(), 'Paused');
    await card.getByRole('button', { name: 'Resume' }).click();
    await until('it goes on', async () => (await card.locator('.state').textContent()) !== 'Paused');
    await card.getByRole('button', { name: 'Look again' }).click();
    await card.getByRole('button', { name: 'Remove' }).click();
    await page.getByRole('button', { name: 'Cancel' }).click();
    await until('cancelling keeps it', () => card.isVisible());
    await card.getByRole('button', { name: 'Remove' }).click();
    await page.locator('dialog[open]').getByRole('button', { name: 'Remove' }).click();
    await until('it is gone', async () => (await card.count()) === 0);
  });
}
