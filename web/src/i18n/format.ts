import { i18n } from './index.svelte';

export function formatNumber(value: number, digits = 0): string {
  return value.toLocaleString(i18n.locale, { maximumFractionDigits: digits });
}

export function formatPercent(fraction: number, digits = 0): string {
  return fraction.toLocaleString(i18n.locale, { style: 'percent', maximumFractionDigits: digits });
}

export function formatBytes(bytes: number): string {
  const units = ['byte', 'kilobyte', 'megabyte', 'gigabyte', 'terabyte'];
  let value = bytes;
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return value.toLocaleString(i18n.locale, {
    style: 'unit', unit: units[unit], unitDisplay: unit === 0 ? 'long' : 'short',
    maximumFractionDigits: value < 10 && unit > 0 ? 1 : 0,
  });
}

export function formatDate(time: string): string {
  const date = new Date(time);
  if (Number.isNaN(date.getTime())) return time;
  return date.toLocaleString(i18n.locale, { dateStyle: 'medium', timeStyle: 'short' });
}

const SPANS: [Intl.RelativeTimeFormatUnit, number][] = [
  ['day', 86400], ['hour', 3600], ['minute', 60], ['second', 1],
];

export function formatAgo(time: string): string {
  const seconds = (new Date(time).getTime() - Date.now()) / 1000;
  if (Number.isNaN(seconds)) return time;
  const [unit, length] = SPANS.find(([, span]) => Math.abs(seconds) >= span) ?? ['second', 1];
  return new Intl.RelativeTimeFormat(i18n.locale, { numeric: 'auto' })
    .format(Math.round(seconds / length), unit);
}

// A span as one rounded unit: "4 min", for time left.
export function formatSpan(seconds: number): string {
  const [unit, length] = SPANS.find(([, span]) => seconds >= span) ?? ['second', 1];
  return Math.max(1, Math.round(seconds / length)).toLocaleString(i18n.locale, {
    style: 'unit', unit, unitDisplay: 'short',
  });
}

// An offset in a medium: 1:02:03 or 2:03.
export function formatOffset(seconds: number): string {
  const whole = Math.floor(seconds);
  const pad = (n: number): string => String(n).padStart(2, '0');
  const hours = Math.floor(whole / 3600);
  const minutes = Math.floor(whole / 60) % 60;
  return hours > 0
    ? `${hours}:${pad(minutes)}:${pad(whole % 60)}`
    : `${minutes}:${pad(whole % 60)}`;
}
