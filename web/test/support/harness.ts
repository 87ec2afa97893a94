import { chromium, type Browser, type BrowserContextOptions, type Page } from 'playwright-core';

// Tests are sentences. Each gets a fresh browser context, and fails as well when the page logged an
// error, broke its content policy or asked anything of another host.

export interface Opened {
  page: Page;
  // Answers of the server that this test provokes; status 0: none at all.
  expectProblem(status: number, path: string): void;
  // What is to be cleared away once the page is gone.
  after(clean: () => Promise<void>): void;
}

type Body = (opened: Opened) => Promise<void>;

interface Test {
  name: string;
  options: BrowserContextOptions;
  body: Body;
}

const DEADLINE_MS = 20_000;
const tests: Test[] = [];

export function test(name: string, body: Body, options: BrowserContextOptions = {}): void {
  tests.push({ name, body, options });
}

// Polls until the condition holds; a condition that throws does not hold yet.
export async function until(
  what: string, condition: () => Promise<boolean> | boolean, deadline = DEADLINE_MS,
): Promise<void> {
  const end = Date.now() + deadline;
  let last: unknown;
  while (Date.now() < end) {
    try {
      if (await condition()) return;
      last = undefined;
    } catch (error) {
      last = error;
    }
    await new Promise((done) => setTimeout(done, 50));
  }
  throw new Error(`${what}: not within ${deadline / 1000} s${last ? ` (${String(last)})` : ''}`);
}

export async function equal<T>(what: string, actual: () => Promise<T> | T, expected: T): Promise<void> {
  let seen: T | undefined;
  try {
    await until(what, async () => {
      seen = await actual();
      return JSON.stringify(seen) === JSON.stringify(expected);
    });
  } catch {
    throw new Error(`${what}: ${JSON.stringify(seen)} instead of ${JSON.stringify(expected)}`);
  }
}

export function launch(): Promise<Browser> {
  return chromium.launch({
    executablePath: process.env.MSEARCH_CHROMIUM ?? '/usr/bin/chromium',
    args: [
      '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
      '--disable-background-networking', '--disable-component-update', '--disable-sync',
    ],
  });
}

function watch(page: Page, faults: string[], expected: string[]): void {
  page.on('pageerror', (error) => faults.push(`the page threw ${error.message}`));
  page.on('console', (message) => {
    if (message.type() !== 'error' && message.type() !== 'warning') return;
    const [, failure] = /^Failed to load resource: .*?(status of \d+|net::\w+)/.exec(message.text()) ?? [];
    const { url } = message.location();
    const answer = failure && `${/\d+$/.exec(failure)?.[0] ?? 0} ${new URL(url).pathname}`;
    if (answer && expected.includes(answer)) return;
    faults.push(`the page logged "${message.text()}" ${url}`);
  });
  page.on('request', (request) => {
    const url = new URL(request.url());
    const own = url.protocol === 'blob:' || url.protocol === 'data:' || url.hostname === '127.0.0.1';
    if (!own) faults.push(`the page asked ${url.host}`);
  });
}

async function runOne(browser: Browser, { body, options }: Test): Promise<void> {
  const context = await browser.newContext({
    viewport: { width: 1280, height: 800 }, locale: 'en-GB', ...options,
  });
  context.setDefaultTimeout(DEADLINE_MS);
  const faults: string[] = [];
  const expected: string[] = [];
  const cleaners: (() => Promise<void>)[] = [];
  try {
    const page = await context.newPage();
    watch(page, faults, expected);
    await body({
      page,
      expectProblem: (status, path) => expected.push(`${status} ${path}`),
      after: (clean) => cleaners.push(clean),
    });
  } finally {
    await context.close();
    for (const clean of cleaners.reverse()) await clean();
  }
  if (faults.length > 0) throw new Error(faults.join('; '));
}

// Runs what was declared, all or those whose name contains `only`; answers whether all passed.
export async function runTests(only: string): Promise<boolean> {
  const browser = await launch();
  let passed = 0;
  let failed = 0;
  for (const one of tests.filter(({ name }) => name.includes(only))) {
    try {
      await runOne(browser, one);
      passed += 1;
      console.log(`ok   ${one.name}`);
    } catch (error) {
      failed += 1;
      console.log(`FAIL ${one.name}\n     ${(error as Error).message.split('\n').join('\n     ')}`);
    }
  }
  await browser.close();
  console.log(`${passed} passed, ${failed} failed`);
  return failed === 0 && passed > 0;
}
