import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync } from 'node:fs';
import { type Browser, chromium, type Page } from 'playwright-core';

/** Debian's Chromium, or the one that CHROMIUM names; undefined where there is none. */
export const chromiumPath = [process.env.CHROMIUM, '/usr/bin/chromium', '/usr/bin/chromium-browser'].find(
  (path) => path !== undefined && existsSync(path),
);

/** Where pictures of the pages go, to be looked at. */
export const pictures = 'spec/output';

/** Builds the page as the package does. */
export function buildPage(): void {
  execFileSync('npm', ['run', '--silent', 'page'], { stdio: 'inherit' });
  mkdirSync(pictures, { recursive: true });
}

export function launch(): Promise<Browser> {
  const quiet = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run'];
  return chromium.launch({
    executablePath: chromiumPath as string,
    args: [...quiet, '--disable-background-networking', '--disable-component-update', '--disable-sync'],
  });
}

/** A page whose faults (errors, refused by its policy, dialogs) are collected. */
export async function openPage(
  browser: Browser,
  address: string,
  look: { readonly width?: number; readonly dark?: boolean } = {},
): Promise<{ page: Page; faults: string[] }> {
  const { width = 1440, dark = false } = look;
  const page = await browser.newPage({
    viewport: { width, height: width < 500 ? 760 : 900 },
    colorScheme: dark ? 'dark' : 'light',
  });
  const faults: string[] = [];
  page.on('pageerror', (error) => faults.push(error.message));
  page.on('dialog', (dialog) => {
    faults.push(`dialog ${dialog.message()}`);
    dialog.dismiss().catch(() => undefined);
  });
  page.on('console', (message) => {
    if (message.type() === 'error') faults.push(message.text());
  });
  await page.goto(address);
  return { page, faults };
}
