import type { Page } from 'playwright-core';
import { equal, test, until } from './support/harness';
import { names } from './search';
import type { Target } from './support/target';

async function noSidewaysScroll(page: Page, what: string): Promise<void> {
  await equal(`${what} fits the width`, () =>
    page.evaluate(() => Math.max(0, document.documentElement.scrollWidth - innerWidth)), 0);
}

export function declarePageTests({ url }: Target): void {
  test('TheBrowsersLanguageIsTheFirstChoice', async ({ page }) => {
    await page.goto(url);
    await until('Chinese', () => page.getByRole('heading', { name: '用画面内容找到它' }).isVisible());
    await equal('the language of the document', () => page.evaluate(() => document.documentElement.lang), 'zh-Hans');
  }, { locale: 'zh-CN' });

  test('TheLanguageChosenIsRemembered', async ({ page }) => {
    await page.goto(url);
    await page.getByRole('button', { name: '中文' }).click();
    await until('Chinese at once', () => page.getByRole('link', { name: '媒体库' }).isVisible());
    await page.goto(`${url}/?view=library`);
    await until('Chinese after a reload', () => page.getByRole('heading', { name: '添加文件夹' }).isVisible());
    await page.getByRole('button', { name: 'EN' }).click();
    await until('English again', () => page.getByRole('heading', { name: 'Add a folder' }).isVisible());
  });

  test('TheStatusNamesComponentsWorkersQueuesAndModels', async ({ page }) => {
    await page.goto(`${url}/?view=status`);
    await until('components', async () => (await page.locator('.components li').count()) > 0);
    await until('the model in use', () => page.getByText('In use', { exact: true }).first().isVisible());
    for (const title of ['Workers', 'Queues']) {
      const table = page.locator('section').filter({ has: page.getByRole('heading', { name: title }) });
      await until(title, async () => (await table.locator('tbody td b').count()) > 0);
    }
  });

  test('DarknessFollowsTheSystem', async ({ page }) => {
    await page.goto(url);
    const ground = (): Promise<string> => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    await equal('dark ground', ground, 'rgb(19, 20, 22)');
    await page.emulateMedia({ colorScheme: 'light' });
    await equal('light ground', ground, 'rgb(250, 249, 247)');
  }, { colorScheme: 'dark' });

  test('EveryViewFitsAPhone', async ({ page }) => {
    for (const path of ['/', '/?q=red', '/?q=red&type=image', '/?view=library', '/?view=status']) {
      await page.goto(url + path);
      await until(`${path} is there`, () => page.locator('main h1, main .grid').first().isVisible());
      await noSidewaysScroll(page, path);
    }
    await page.goto(`${url}/?q=red`);
    await until('hits', async () => (await names(page)).length > 0);
    await page.locator('.grid a').first().click();
    await until('details', () => page.locator('dialog[open] h2').isVisible());
    await noSidewaysScroll(page, 'details');
  }, { viewport: { width: 360, height: 740 }, hasTouch: true, isMobile: true });
}
