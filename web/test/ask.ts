import { equal, test, until } from './support/harness';
import type { Target } from './support/target';

const QUESTION = 'input[name=question]';

// Questions are answered by workers, which only a real server has.
export function declareAskTests(target: Target): void {
  const { url } = target;
  if (!target.real) {
    console.log('left out: questions, since the development server answers none');
    return;
  }

  test('AnAnswerCitesItsFileAndOpensIt', async ({ page }) => {
    await page.goto(`${url}/?view=ask`);
    await page.fill(QUESTION, 'What did the keeper of the lighthouse write down?');
    await page.keyboard.press('Enter');
    const answer = page.locator('.answer');
    await until('the answer', async () =>
      ((await answer.textContent()) ?? '').includes('every passing ship'));
    await until('it says how it was made', async () =>
      ((await answer.textContent()) ?? '').includes('Quoted from your files'));
    await equal('its source', () => page.locator('.sources .path').first().textContent(), 'samples / lighthouse.md');
    await until('the question is in the address', () => page.url().includes('keeper'));
    await page.locator('.answer .number').first().click();
    await until('the file is shown', () => page.locator('dialog').isVisible());
    await equal('its name', () => page.locator('dialog h2').first().textContent(), 'lighthouse.md');
  });

  test('AQuestionWithoutAnAnswerIsRefused', async ({ page }) => {
    await page.goto(`${url}/?view=ask&q=${encodeURIComponent('Who won the chess tournament in Oslo?')}`);
    await until('it says so', () => page.getByText('This is not in your library').isVisible());
    await page.getByRole('button', { name: '中文' }).click();
    await until('in Chinese, too', () => page.getByText('您的媒体库里没有答案').isVisible());
  });
}
