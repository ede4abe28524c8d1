// What the page shows, and the elements that several modules use.

export const $ = (selector, within = document) => within.querySelector(selector);
export const query = $("#query"), slider = $("#relevance"), grid = $("#grid"), viewer = $("#viewer"), like = $("#like");

export const state = {
  info: { pictures: 0, min_relevance: null },
  // kind: all | words: text | like: id | upload: file | duplicates: all groups, or the pictures folded behind id
  search: { kind: "all", filters: {} },
  source: null, // the pictures of this search, see sources.js
  current: -1, // place of the picture in the viewer
};

export const percent = (value) => `${Math.round(100 * value)} %`;
export const plural = (count, one, many = `${one}s`) => `${count.toLocaleString("en")} ${count === 1 ? one : many}`;

export function size(bytes) {
  const unit = bytes < 1e6 ? ["kB", 1e3] : bytes < 1e9 ? ["MB", 1e6] : ["GB", 1e9];
  return `${(bytes / unit[1]).toLocaleString("en", { maximumFractionDigits: bytes < 1e6 ? 0 : 1 })} ${unit[0]}`;
}

const FORMS = {
  year: { year: "numeric" },
  month: { year: "numeric", month: "long" },
  day: { year: "numeric", month: "long", day: "numeric", weekday: "short" },
};

// "2024-05-12T14:03" or a part of it → "Sun, 12 May 2024", "May 2024" or "2024"; cameras write local time.
export function day(text, form = ["year", "month", "day"][Math.min(2, text.split("-").length - 1)]) {
  const date = new Date(`${text.length === 4 ? `${text}-01` : text}-01`.slice(0, 10));
  return Number.isNaN(date.getTime()) ? text : date.toLocaleDateString("en-GB", { ...FORMS[form], timeZone: "UTC" });
}

const announcement = $("#announce");
export function announce(text) {
  announcement.textContent = text;
}
