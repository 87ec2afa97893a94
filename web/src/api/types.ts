// The shapes of the HTTP API that the page uses. Ids are opaque: a server may send strings or
// integers. Offsets in media are float seconds, boxes [x, y, w, h] as fractions, times RFC 3339.

export type Id = string | number;

export type MediaType = 'image' | 'video' | 'audio' | 'document' | (string & {});

export interface Reason {
  kind: string;
  text: string;
}

export interface Hit {
  segment_id: Id;
  media_id: Id;
  root: string;
  path: string;
  paths: MediaPath[];
  type: MediaType;
  score: number;
  strength: 'strong' | 'weak';
  reasons: Reason[];
  start_time?: number;
  end_time?: number;
  segment_index?: number;
  page?: number;
  // Of all words that were found in the picture, and of each.
  box?: [number, number, number, number];
  boxes?: { text: string; box: [number, number, number, number] }[];
  thumbnail?: string | null;
  // Of a film: the frame of its strip that shows this moment.
  frame?: StripFrame;
  // Sent by servers that know them; the grid then needs no measuring.
  width?: number;
  height?: number;
}

// Frames of a film in the rows of one picture.
export interface Strip {
  picture: string;
  tile: [number, number];
  columns: number;
  times: number[];
}

// One of them.
export interface StripFrame {
  picture: string;
  tile: [number, number];
  columns: number;
  rows: number;
  index: number;
}

export interface SearchAnswer {
  hits: Hit[];
  total: number;
  nothing_fits: boolean;
  took_ms: number;
  // There may be more than `total`.
  total_is_bound?: boolean;
  // What was left out of the search, and why.
  notice?: string;
}

export interface Filters {
  root?: string[];
  type?: string[];
  path_prefix?: string;
  date_from?: string;
  date_to?: string;
  size_min?: number;
  size_max?: number;
}

export interface MediaPath {
  root: string;
  path: string;
  size?: number;
  modified_at?: string;
}

export interface Segment {
  segment_id: Id;
  start_time?: number;
  end_time?: number;
  page?: number;
  text?: string;
}

export interface Media {
  media_id: Id;
  type: MediaType;
  mime?: string;
  paths: MediaPath[];
  width?: number;
  height?: number;
  duration?: number;
  captured_at?: string;
  camera?: string;
  gps?: { lat: number; lon: number };
  size?: number;
  labels?: { label: string; probability: number }[];
  text?: string;
  thumbnail?: string | null;
  strip?: Strip;
  codec?: string;
  artist?: string;
  album?: string;
  title?: string;
  segments?: Segment[];
}

export interface MediaList {
  media: Media[];
  total: number;
}

export type RootState = 'watching' | 'polling' | 'scanning' | 'paused' | 'unreachable' | (string & {});

export interface Root {
  name: string;
  path: string;
  state: RootState;
  state_reason?: string;
  watch?: 'inotify' | 'polling';
  origin?: 'api' | 'config';
  paused?: boolean;
  counts: { files: number; indexed: number; pending: number; failed: number };
  speed_files_s?: number;
  eta_s?: number;
  current?: string;
  last_scan_at?: string;
}

export interface Failure {
  root: string;
  path: string;
  code: string;
  message: string;
  attempts: number;
  failed_at?: string;
}

export interface FailureClass {
  code: string;
  count: number;
}

export interface Component {
  name: string;
  state: string;
  detail?: string;
}

export interface Health {
  status?: string;
  version?: string;
  components: Component[];
}

export interface Worker {
  id: Id;
  role: string;
  pid?: number;
  host?: string;
  state: string;
  device?: string;
  device_reason?: string;
  model?: string;
  current?: string | null;
  restarts?: number;
}

export interface Queue {
  name: string;
  queued: number;
  started: number;
  finished: number;
  failed: number;
  paused?: boolean;
}

export interface Model {
  name: string;
  title?: string;
  active: boolean;
  // Asked for; its vectors are still being made beside those in use.
  target?: boolean;
  state: string;
  // search, speech, text, sounds: only packs for searching are chosen by model use.
  purpose?: string;
  quality?: string;
  licence?: string;
  bytes?: number;
  device?: string;
  device_reason?: string;
}

export interface ModelList {
  models: Model[];
  // Why the model asked for is not the one in use.
  problem?: string;
}

export interface Problem {
  type?: string;
  title: string;
  status: number;
  detail?: string;
  code: string;
}

export interface Citation {
  number: number;
  media_id: Id;
  segment_id: Id;
  segment_index?: number;
  root: string;
  path: string;
  type: MediaType;
  kind?: string;
  quote: string;
  url: string;
  start_time?: number;
  end_time?: number;
  page?: number;
  box?: [number, number, number, number];
}

export interface Analysis {
  description: string;
  generated_description?: string;
  labels: { label: string; probability: number }[];
  colors: { name: string; name_zh: string; rgb: string; share: number }[];
}

export interface AskResult {
  question: string;
  answer: string;
  mode: 'extractive' | 'generated';
  found: boolean;
  confidence: number;
  claims: { text: string; citations: number[] }[];
  citations: Citation[];
  nearest?: Citation[];
  notice?: string;
  model?: string;
  analysis?: Analysis;
}

export interface AskedTask {
  task_id: string;
  status: 'queued' | 'started' | 'finished' | 'failed' | 'cancelled';
  reason?: string;
  position?: number | null;
  eta?: number | null;
  progress: number;
  stage?: string;
  message?: string;
  result?: AskResult;
  error?: { code: string; message: string };
}
