// Requests to the API. A busy server (503) is asked again a few times.

import { filters } from "./filters.js";
import { PAGE } from "./state.js";

export class Refusal extends Error {}

export async function ask(path, options = {}) {
  for (let attempt = 0; ; attempt++) {
    const response = await fetch(path, options);
    if (response.ok) return response.json();
    const problem = await response.json().catch(() => ({ detail: response.statusText }));
    if (response.status !== 503 || attempt === 3) throw new Refusal(problem.detail);
    await new Promise((done) => setTimeout(done, 300 + 500 * attempt * Math.random()));
  }
}

// One page of results for a mode: the best `count`, or the next pictures of the whole index from `offset` on.
export function fetchResults(mode, count, offset, signal) {
  const parameters = (values) => new URLSearchParams({ ...values, ...filters() });
  if (mode.kind === "words") {
    const all = { q: mode.text, top_k: count, min_relevance: 0 }; // the slider hides some
    return ask(`search?${parameters(all)}`, { signal });
  }
  if (mode.kind === "like") return ask(`search?${parameters({ like: mode.id, top_k: count })}`, { signal });
  if (mode.kind === "newest") return ask(`search?${parameters({ top_k: count })}`, { signal });
  if (mode.kind === "upload") {
    const headers = { "content-type": "application/octet-stream" };
    return ask(`search/image?${parameters({ top_k: count })}`, { signal, method: "POST", body: mode.file, headers });
  }
  return ask(`images?${new URLSearchParams({ offset, limit: PAGE })}`, { signal });
}
