import { en, type Strings } from './en';
import { zh } from './zh';

export type Language = 'en' | 'zh';

const KEY = 'msearch.language';
const TABLES: Record<Language, Strings> = { en, zh };
const LOCALES: Record<Language, string> = { en: 'en-GB', zh: 'zh-CN' };

function initial(): Language {
  const stored = localStorage.getItem(KEY);
  if (stored === 'en' || stored === 'zh') return stored;
  return navigator.language.toLowerCase().startsWith('zh') ? 'zh' : 'en';
}

let current = $state<Language>(initial());

export const i18n = {
  get language(): Language {
    return current;
  },
  set language(language: Language) {
    current = language;
    localStorage.setItem(KEY, language);
  },
  // The table of the current language.
  get t(): Strings {
    return TABLES[current];
  },
  get locale(): string {
    return LOCALES[current];
  },
};
