// The state of the page, and the elements that all modules use.

export const PAGE = 60; // pictures per request
export const MOST = 300; // maximum number of pictures of one search

export const $ = (selector, within = document) => within.querySelector(selector);
export const query = $("#query"), slider = $("#relevance"), grid = $("#grid"), viewer = $("#viewer"), like = $("#like");

export const state = {
  info: { pictures: 0, min_relevance: null },
  mode: { kind: "all" }, // all | newest (only filters) | words: text | like: id | upload: file
  found: [], // results of the last response
  shown: [], // results above the slider's level
  complete: false, // true when there is nothing further to load
  current: -1, // place of the picture in the viewer
};

export const percent = (value) => `${Math.round(100 * value)} %`;
export const busy = () => grid.getAttribute("aria-busy") === "true";
