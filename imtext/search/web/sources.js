// The pictures of a search: sections with their numbers, and results by place, fetched when they come into sight.
//
// A source has `sections` ([{ title, count, date }]), `total`, `get(place)` (undefined until it is there), `need(first,
// last)` (fetch what is in sight), and `load(first, last)` (a promise). It calls `changed()` when something arrived.

import { ask, parameters } from "./server.js";
import { day, plural, size } from "./state.js";

const CHUNK = 100; // pictures per request of the timeline
const KEPT = 200; // chunks in memory
const STEPS = [60, 250, 1000]; // results of a search: more when the end comes into sight; the last is the API's limit

export async function timeline(filters, changed, signal) {
  const counts = await ask(`timeline?${parameters(filters)}`, { signal });
  const chunks = new Map(), waiting = new Map();

  function fetchChunk(number, held) {
    if (chunks.has(number)) return undefined;
    const before = waiting.get(number);
    if (before) {
      before.held ||= held;
      return before.done;
    }
    const controller = new AbortController();
    const options = { signal: AbortSignal.any([signal, controller.signal]) };
    const done = ask(`pictures?${parameters({ ...filters, offset: number * CHUNK, limit: CHUNK })}`, options).then((page) => {
      chunks.set(number, page.results);
      if (chunks.size > KEPT) chunks.delete(chunks.keys().next().value);
      changed(page.version);
    }).finally(() => waiting.delete(number));
    waiting.set(number, { controller, done, held });
    return done;
  }

  const numbers = (first, last) => {
    const from = Math.floor(first / CHUNK), to = Math.floor(last / CHUNK);
    return Array.from({ length: Math.max(0, to - from + 1) }, (_, step) => from + step);
  };
  return {
    sections: counts.groups.map(({ date, pictures }) => ({ date, title: day(date), count: pictures })),
    total: counts.total,
    version: counts.version,
    get: (place) => chunks.get(Math.floor(place / CHUNK))?.[place % CHUNK],
    need(first, last) {
      const wanted = numbers(first, last);
      for (const [number, { controller, held }] of waiting) if (!held && !wanted.includes(number)) controller.abort();
      for (const number of wanted) fetchChunk(number, false)?.catch(() => {}); // asked for again when it is needed again
    },
    load: (first, last) => Promise.all(numbers(first, last).map((number) => fetchChunk(number, true))),
  };
}

function request({ kind, text, id, file, filters }, count, signal) {
  if (kind === "words") return ask(`search?${parameters({ q: text, top_k: count, min_relevance: 0, ...filters })}`, { signal }); // the slider hides some
  if (kind === "like") return ask(`search?${parameters({ like: id, top_k: count, ...filters })}`, { signal });
  const headers = { "content-type": "application/octet-stream" };
  return ask(`search/image?${parameters({ top_k: count, ...filters })}`, { signal, method: "POST", body: file, headers });
}

export async function results(search, level, changed, signal) {
  let response, found, complete, step = 0, fetching;

  async function fetchStep() {
    response = await request(search, STEPS[step], signal);
    found = response.results;
    complete = found.length < STEPS[step] || step === STEPS.length - 1;
    step += 1;
    source.setLevel(level);
  }

  const source = {
    sections: [],
    total: 0,
    shown: [],
    get: (place) => source.shown[place],
    need(_, last) {
      if (complete || fetching || last < source.total - 1 || source.total < found.length) return; // the rest is hidden anyway
      fetching = fetchStep().then(() => changed(), () => (complete = true)).finally(() => (fetching = undefined));
    },
    load: async () => {},
    setLevel(next) {
      level = next;
      source.calibrated = found.some((result) => result.relevance !== null);
      source.shown = source.calibrated ? found.filter((result) => result.relevance === null || result.relevance >= level) : found;
      source.total = source.shown.length;
      source.sections = source.total ? [{ title: "", count: source.total, date: "" }] : [];
      Object.assign(source, { response, found: found.length, more: !complete && source.total === found.length });
    },
  };
  await fetchStep();
  return source;
}

const fact = ({ width, height, bytes, copies }) => [width && `${width} × ${height}`, bytes && size(bytes), copies && plural(copies + 1, "file")].filter(Boolean).join(" · ");

const plain = (picture) => ({ score: null, relevance: null, ...picture, fact: fact(picture) });

// Groups of near duplicates, page by page.
export async function groups(changed, signal) {
  let all = Infinity, fetching;
  const shown = [];

  async function fetchPage() {
    const page = await ask(`duplicates?${parameters({ offset: source.sections.length })}`, { signal });
    for (const pictures of page.groups) {
      const files = pictures.reduce((sum, { copies }) => sum + 1 + copies, 0), title = plural(pictures.length, "picture");
      source.sections.push({ title: files > pictures.length ? `${title}, ${files} files` : title, count: pictures.length, date: "" });
      shown.push(...pictures.map(plain));
    }
    source.total = shown.length;
    all = page.groups.length ? page.total : 0;
  }

  const source = {
    sections: [],
    total: 0,
    get: (place) => shown[place],
    need(_, last) {
      if (source.sections.length >= all || fetching || last < source.total - 1) return;
      fetching = fetchPage().then(() => changed(), () => (all = 0)).finally(() => (fetching = undefined));
    },
    load: async () => {},
  };
  await fetchPage();
  return source;
}

// The pictures that are folded behind one result.
export async function folded(id, signal) {
  const { pictures } = await ask(`pictures/${id}/duplicates`, { signal });
  const shown = pictures.map(plain);
  const sections = shown.length ? [{ title: plural(shown.length, "near duplicate"), count: shown.length, date: "" }] : [];
  return { sections, total: shown.length, get: (place) => shown[place], need() {}, load: async () => {} };
}
