// The address names the search, its filters and the month in sight, so that it can be shared and bookmarked.

export const FILTERS = ["after", "before", "in", "camera", "orientation", "min_size", "near", "within", "sort"];

export function read(address = location.search) {
  const given = new URLSearchParams(address);
  const filters = Object.fromEntries(FILTERS.filter((name) => given.get(name)).map((name) => [name, given.get(name)]));
  const level = given.has("min_relevance") ? Number(given.get("min_relevance")) : undefined;
  const common = { filters, level, at: given.get("at") ?? "" };
  if (given.get("q")) return { kind: "words", text: given.get("q"), ...common };
  if (given.get("like")) return { kind: "like", id: given.get("like"), ...common };
  if (given.has("duplicates")) return { kind: "duplicates", id: given.get("duplicates"), ...common };
  return { kind: "all", ...common };
}

export function write({ kind, text, id, filters, level, at }) {
  const given = new URLSearchParams();
  if (kind === "words") given.set("q", text);
  if (kind === "like") given.set("like", id);
  if (kind === "duplicates") given.set("duplicates", id);
  else for (const name of FILTERS) if (filters[name]) given.set(name, filters[name]);
  if (kind === "words" && level !== undefined) given.set("min_relevance", level.toFixed(2));
  if (kind === "all" && at) given.set("at", at);
  return given.size ? `?${given}` : "./";
}
