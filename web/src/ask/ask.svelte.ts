import { address, api, ApiError } from '../api/client';
import type { AskedTask, Citation, Hit } from '../api/types';
import { tilesOf, type Tile } from '../search/tiles';

// One question at a time: submitted as a task, followed through its event stream. A stream that
// breaks is opened again by the browser and begins with the present state.
class Asking {
  question = $state('');
  task = $state.raw<AskedTask | null>(null);
  // The answer while it is being written.
  text = $state('');
  error = $state.raw<ApiError | null>(null);
  busy = $state(false);

  #source: EventSource | undefined;
  #turn = 0;

  // What the citations name, for the details.
  get tiles(): Tile[] {
    const result = this.task?.result;
    return result ? tilesOf([...result.citations ?? [], ...result.nearest ?? []].map(hitOf)) : [];
  }

  async start(question: string, picture?: Blob): Promise<void> {
    this.stop();
    const turn = ++this.#turn;
    Object.assign(this, { question, task: null, text: '', error: null, busy: true });
    try {
      const task = await api.ask(question, picture);
      if (turn !== this.#turn) return;
      this.task = task;
      this.#follow(task.task_id);
    } catch (problem) {
      if (turn !== this.#turn) return;
      this.error = problem as ApiError;
      this.busy = false;
    }
  }

  async cancel(): Promise<void> {
    const id = this.task?.task_id;
    this.stop();
    if (id) this.task = await api.cancelAsked(id).catch(() => this.task);
  }

  clear(): void {
    this.stop();
    Object.assign(this, { question: '', task: null, text: '', error: null });
  }

  stop(): void {
    this.#source?.close();
    this.#source = undefined;
    this.busy = false;
  }

  #follow(id: string): void {
    const source = new EventSource(
      address(`/api/async/task/${encodeURIComponent(id)}/events`), { withCredentials: true });
    this.#source = source;
    source.addEventListener('state', (event) => (this.task = JSON.parse(event.data)));
    source.addEventListener('text', (event) => {
      const { append, replace } = JSON.parse(event.data) as { append?: string; replace?: string };
      this.text = replace ?? this.text + (append ?? '');
    });
    source.addEventListener('end', (event) => {
      this.task = JSON.parse(event.data);
      this.stop();
    });
    source.addEventListener('gone', () => this.stop());
    // A stream that was refused doesn't come back by itself.
    source.onerror = () => {
      if (source.readyState !== EventSource.CLOSED || this.#source !== source) return;
      api.asked(id, 20).then(
        (task) => {
          if (this.#source !== source) return;
          this.task = task;
          if (task.result || task.error) this.stop();
          else this.#follow(id);
        },
        (problem: ApiError) => {
          this.error = problem;
          this.stop();
        });
    };
  }
}

function hitOf(citation: Citation): Hit {
  return {
    ...citation, score: 1, strength: 'strong', paths: [{ root: citation.root, path: citation.path }],
    reasons: [{ kind: 'text', text: citation.quote }],
  };
}

export const asking = new Asking();
