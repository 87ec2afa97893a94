import { address } from './client';

export type EventName = 'roots' | 'tasks' | 'workers';

const POLL_MS = 2000;
const REOPEN_MS = 10000;

export interface Listener {
  event(name: EventName, data: unknown): void;
  // Fetch what the events would have told; called at once and then every two seconds while the
  // stream is away.
  poll(): void;
  live(streaming: boolean): void;
}

// Keeps a server-sent event stream open and polls while it is not. A browser reopens a dropped
// stream by itself, but gives up on one that was refused: that one is opened anew. Answers the
// function that ends it.
export function listen(listener: Listener): () => void {
  let source: EventSource | undefined;
  let reopen: ReturnType<typeof setTimeout> | undefined;
  let polling: ReturnType<typeof setInterval> | undefined;

  const startPolling = (): void => {
    if (polling) return;
    listener.live(false);
    listener.poll();
    polling = setInterval(() => document.hidden || listener.poll(), POLL_MS);
  };
  const stopPolling = (): void => {
    clearInterval(polling);
    polling = undefined;
    listener.live(true);
  };

  const open = (): void => {
    source = new EventSource(address('/api/events'), { withCredentials: true });
    source.onopen = stopPolling;
    source.onerror = () => {
      startPolling();
      if (source?.readyState !== EventSource.CLOSED) return;
      clearTimeout(reopen);
      reopen = setTimeout(open, REOPEN_MS);
    };
    for (const name of ['roots', 'tasks', 'workers'] as const) {
      source.addEventListener(name, (event) => deliver(name, event.data));
    }
  };

  const deliver = (name: EventName, text: string): void => {
    try {
      listener.event(name, JSON.parse(text));
    } catch {
      listener.poll();
    }
  };

  open();
  listener.poll();
  return () => {
    source?.close();
    clearTimeout(reopen);
    clearInterval(polling);
  };
}
