// Entry point of the page. Modules: state ← server, grid ← search ← viewer, inputs ← keys.

import { setLevel } from "./inputs.js";
import "./keys.js";
import { load, searchSimilar, searchWords } from "./search.js";
import { ask } from "./server.js";
import { query, state } from "./state.js";

const wanted = new URLSearchParams(location.search);
state.info = await ask("info").catch(() => state.info);
setLevel(100 * (state.info.min_relevance ?? 0));
if (wanted.get("q")) {
  query.value = wanted.get("q");
  searchWords();
} else if (wanted.get("like")) searchSimilar(wanted.get("like"));
else load();
if (matchMedia("(hover: hover)").matches) query.focus();
