import type { Reason } from '../api/types';
import { i18n } from '../i18n/index.svelte';

// A reason in the user's language. A name is not told again where it already stands. The kind is
// from a list that may grow: an unknown one leaves the server's own words.
export function reasonText(reason: Reason, path: string): string {
  const kind = i18n.t.reasons[reason.kind];
  if (!kind) return reason.text || reason.kind;
  if (!reason.text || path.endsWith(reason.text)) return kind;
  return i18n.language === 'zh' ? `${kind}：${reason.text}` : `${kind}: ${reason.text}`;
}
